"""The baseline: what is known is not reported, what is fixed stays fixed, and what is new is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from penstock_migrations._reporting.baseline import Baseline, Entry
from penstock_migrations.commands import audit, baseline

from tests.migrations.reports import DEFECT, found

SECOND = "\n\nasync def other(ys):\n    await asyncio.gather(*[g(y) for y in ys])\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a project with one defect, which its baseline knows."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "src").mkdir()
    (tmp_path / "src/one.py").write_text(DEFECT)
    monkeypatch.chdir(tmp_path)
    assert keep("update", "src").exit_code == 0
    return tmp_path


def keep(verb, *arguments):
    return CliRunner().invoke(baseline, [verb, "--baseline", "base.json", *arguments])


def check(*arguments):
    return CliRunner().invoke(audit, ["--baseline", "base.json", *arguments])


def change(name, *, to):
    Path("src", name).write_text(to)


def test_what_is_known_is_not_reported_and_does_not_fail(folder):
    """The report says how many it left out."""
    result = check("src")

    assert result.exit_code == 0
    assert "Baseline base.json: 1 known finding not reported, 0 fixed." in result.stdout
    assert "PEN101 high" not in result.stdout


def test_what_is_new_is_reported(folder):
    """Only that."""
    change("one.py", to=DEFECT + SECOND)
    result = check("src")

    assert result.exit_code == 1
    assert "src/one.py:8:11" in result.stdout
    assert "src/one.py:4:11" not in result.stdout


def test_a_finding_is_known_again_when_its_line_moves(folder, monkeypatch):
    """And from wherever the audit runs."""
    change("one.py", to="# a comment\n\n" + DEFECT)

    assert check("src").exit_code == 0
    monkeypatch.chdir(folder / "src")
    assert CliRunner().invoke(audit, [".", "--baseline", "../base.json"]).exit_code == 0


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("where", "path"), [("src", "."), ("src", ".."), ("src", "one.py"), (".", "src/one.py")])
def test_a_finding_is_known_from_every_folder(folder, monkeypatch, where, path, marked):
    """Also where nothing marks the project's own folder."""
    if not marked:
        Path("pyproject.toml").unlink()
        Path("base.json").unlink()
        assert keep("update", "src").exit_code == 0
    monkeypatch.chdir(where)
    result = CliRunner().invoke(audit, ["--baseline", str(folder / "base.json"), path])

    assert result.exit_code == 0, result.stdout
    assert "1 known finding not reported, 0 fixed" in result.stdout


def test_a_second_of_the_same_is_new(folder):
    """Equal calls in one function are counted."""
    change("one.py", to=DEFECT + "    await asyncio.gather(*[f(x) for x in xs])\n")

    assert "1 finding (" in check("src").stdout


def test_what_is_fixed_is_told_until_the_baseline_is_updated(folder):
    """Then it may not come back."""
    change("one.py", to="")
    told = check("src")
    assert told.exit_code == 0
    assert "1 fixed." in told.stdout
    assert "penstock baseline update src --baseline base.json" in told.stdout

    assert keep("update", "src").stdout == "base.json: 0 findings; 1 fixed, 0 new.\n"
    change("one.py", to=DEFECT)
    assert check("src").exit_code == 1


def test_a_file_that_is_gone_is_fixed(folder):
    """With all that was in it."""
    Path("src/one.py").unlink()

    assert "1 fixed." in check("src").stdout


@pytest.mark.parametrize("option", [("--ignore", "1"), ("--select", "2"), ("--exclude", "one.py")])
def test_what_was_not_looked_for_is_not_fixed(folder, option):
    """A smaller audit says nothing about the rest, and neither does a file that does not parse."""
    assert "0 fixed." in check("src", *option).stdout


def test_what_was_not_looked_at_stays_in_the_baseline(folder):
    """Neither a file outside of the paths nor one that does not parse is fixed."""
    Path("other").mkdir()
    assert "1 finding; 0 fixed" in keep("update", "other").stdout

    change("one.py", to="def f(:\n")
    assert "1 finding; 0 fixed" in keep("update", "src").stdout


def test_what_a_severity_leaves_out_is_not_fixed(folder):
    """The comparison is made of all severities, whatever is reported."""
    Path("penstock.toml").write_text('[audit.severities]\nPEN101 = "low"\n')

    assert "0 fixed." in check("src", "--severity", "high").stdout


def test_the_baseline_only_shrinks_unless_told(folder):
    """New findings are refused, with the way out; --allow-new takes them up."""
    before = Path("base.json").read_text()
    change("one.py", to=DEFECT + SECOND)

    refused = keep("update", "src")
    assert refused.exit_code == 1
    assert "1 new finding not taken up" in refused.stderr
    assert Path("base.json").read_text() == before

    assert keep("update", "src", "--allow-new").stdout == "base.json: 2 findings; 0 fixed, 1 new.\n"
    assert check("src").exit_code == 0


def test_show_lists_new_still_and_fixed(folder):
    """One line for each."""
    change("one.py", to=SECOND.replace("\n\nasync", "import asyncio\nasync"))
    change("two.py", to=DEFECT)
    assert keep("update", "src", "--allow-new").exit_code == 0
    change("one.py", to=DEFECT)
    shown = keep("show", "src")

    assert shown.exit_code == 1
    assert "new    src/one.py:4: PEN101" in shown.stdout
    assert "still  src/two.py:4: PEN101" in shown.stdout
    assert "fixed  src/one.py: PEN101 in other" in shown.stdout
    assert "1 new, 1 still, 1 fixed." in shown.stdout


def test_the_file_is_the_same_for_the_same_findings():
    """Ordered, one line for each entry, without lines and times: a change in it is a change in the findings."""
    entries = [Entry("b.py", "PEN101", "f", "2"), Entry("a.py", "PEN102", None, "1", 3)]
    text = Baseline(entries).to_json()

    assert text == Baseline(reversed(entries)).to_json()
    assert [line.strip()[:16] for line in text.splitlines()[3:5]] == ['{"path": "a.py",', '{"path": "b.py",']
    assert json.loads(text)["version"] == 1


def test_what_is_written_is_read_again(tmp_path):
    """To the same."""
    file = tmp_path / "base.json"
    file.write_text(Baseline.of([found(), found(), found(fingerprint="x")], lambda one: one.path).to_json())

    assert len(Baseline.read(file)) == 3
    assert Baseline.read(file).to_json() == file.read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<<<<<<< HEAD\n", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[]", "it has no version"),
        ('{"version": 2, "findings": []}', "version 2, this penstock reads 1"),
        ('{"version": 1}', "'findings'"),
        ('{"version": 1, "findings": [3]}', "an entry is no object"),
        ('{"version": 1, "findings": [{"path": "a"}]}', "'code'"),
        ('{"version": 1, "findings": [{"path": 3}]}', "path = 3"),
        (b"\xff\xfe".decode("latin-1"), "no valid JSON"),
    ],
)
def test_a_file_that_is_no_baseline_is_a_usage_error(folder, content, said):
    """With the file, what is wrong with it, and what to do."""
    Path("base.json").write_text(content, encoding="latin-1")

    for result in (check("src"), keep("update", "src"), keep("show", "src")):
        assert result.exit_code == 2
        assert "base.json" in result.stderr
        assert said in " ".join(result.stderr.split())


def test_a_missing_baseline_says_how_to_make_it(folder):
    """The audit does not take a slip of the pen for an empty baseline."""
    Path("base.json").unlink()
    result = check("src")

    assert result.exit_code == 2
    assert "penstock baseline update PATH... --baseline base.json" in " ".join(result.stderr.split())


def test_a_defect_in_another_file_of_the_same_name_is_new(tmp_path, monkeypatch):
    """Where nothing marks a project, too: what is known is known of its own file."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).mkdir()
    Path("a/tasks.py").write_text(DEFECT)
    assert keep("update", ".").exit_code == 0
    Path("a/tasks.py").rename("b/tasks.py")

    result = check(".")

    assert result.exit_code == 1
    assert "b/tasks.py:4:11" in result.stdout


def test_a_baseline_in_another_folder_is_updated_from_here(folder):
    """Whatever the folder that it is in: what is fixed is taken out of it."""
    Path("kept").mkdir()
    Path("base.json").unlink()
    assert CliRunner().invoke(baseline, ["update", "--baseline", "kept/base.json", "src"]).exit_code == 0
    change("one.py", to="")

    result = CliRunner().invoke(baseline, ["update", "--baseline", "kept/base.json", "src"])

    assert "kept/base.json: 0 findings; 1 fixed, 0 new." in result.stdout
