"""Phase 1, the whole journey, on a copy; and in place when asked."""

import json
import os
import subprocess
import sys
import tempfile

import pytest
from click.testing import CliRunner
from penstock_migrations._command_line import phase1 as phase1_module
from penstock_migrations._proving.ledger import check
from penstock_migrations.commands import gate, phase1, verify

from tests.migrations.project import FAN_OUT, TEST_COMMAND, TESTS, bytes_of, make_project

NO_BASELINE = "No regression in system performance: no baseline is kept; penstock perf record makes one"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project, and the working directory in it."""
    monkeypatch.chdir(make_project(tmp_path / "project"))
    return tmp_path / "project"


@pytest.fixture
def report(tmp_path):
    """Read the report."""
    return lambda: json.loads((tmp_path / "reports/phase1.json").read_text())


def run(*arguments):
    return CliRunner().invoke(phase1, [*map(str, arguments), "--reports", "../reports"], catch_exceptions=False)


def outcomes(report):
    return {each["name"]: each["outcome"] for each in report["checks"]}


def test_the_original_is_not_touched(project):
    """By default all happens on a copy."""
    before = bytes_of(project)

    assert run(".", *TEST_COMMAND).exit_code == 0
    assert bytes_of(project) == before


def test_with_the_projects_tests_it_passes(project, report, tmp_path):
    """Every check of this release holds, and the ledger and the reports say so."""
    result = run(".", *TEST_COMMAND)

    assert "Phase 1: PASS" in result.stdout
    assert set(outcomes(report()).values()) == {"pass"}
    assert [each["loaded"] for each in report()["verification"]["tests"]] == [["agents/research.py"]] * 2
    assert check(tmp_path / "reports/ledger.jsonl") == 1


def test_a_limit_that_no_test_came_to_is_not_forgotten_when_there_is_nothing_left_to_write(project, report):
    """What is to be seen is what the code uses, whichever run has rewritten it."""
    untested = TESTS.replace('self.assertEqual(asyncio.run(read_all(["a", "bb"])), [1, 2])', "assert read_all")
    (project / "tests/test_research.py").write_text(untested)

    results = [run(".", "--write", *TEST_COMMAND) for _ in range(2)]

    assert [each.exit_code for each in results] == [3, 3]
    assert {name for name, outcome in outcomes(report()).items() if outcome != "pass"} == {"resources-visible"}
    assert "no test came to limit 'api_call'" in results[1].stdout


def test_without_the_projects_tests_it_is_inconclusive(project, report):
    """The report is written all the same, and names what is not judged."""
    result = run(".")

    assert result.exit_code == 3
    assert report()["verdict"] == "inconclusive"
    assert report()["not_covered"] == [NO_BASELINE]
    assert f"Not judged, and not part of the verdict\n  - {NO_BASELINE}\n" in result.stdout


def test_write_writes_what_was_tried(project, report, tmp_path):
    """The diff of the report, applied, is what is in place now."""
    copy = make_project(tmp_path / "copy")

    assert run(".", "--write", *TEST_COMMAND).exit_code == 0

    diff = (tmp_path / "reports/phase1.diff").read_bytes()
    subprocess.run(["patch", "-p1", "-s"], input=diff, cwd=copy, check=True)
    assert bytes_of(project) == bytes_of(copy)
    assert report()["written"] is True


@pytest.mark.parametrize(("arguments", "trial"), [([], True), (["--write"], False)])
def test_the_ledger_tells_a_trial_from_what_was_written(project, tmp_path, arguments, trial):
    """A copy that passed promotes nothing."""
    run(".", *arguments, *TEST_COMMAND)

    entry = json.loads((tmp_path / "reports/ledger.jsonl").read_text())
    assert (entry["verdict"], entry["trial"]) == ("pass", trial)


def test_a_broken_ledger_is_said_before_anything_is_done(project, tmp_path):
    """Nothing is written on evidence that cannot be kept."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/ledger.jsonl").write_text("{}\n")
    before = bytes_of(project)

    assert run(".", "--write").exit_code == 1
    assert bytes_of(project) == before


def test_what_was_written_can_be_verified_and_judged_in_place(project):
    """The same stages, one by one, on the code as it is now."""
    run(".", "--write", *TEST_COMMAND)

    for command, arguments in ((verify, TEST_COMMAND), (gate, ())):
        result = CliRunner().invoke(command, [".", *arguments, "--reports", "../reports"], catch_exceptions=False)
        assert result.exit_code == 0, result.output


def test_requirements_at_a_repositorys_root_are_its_declaration(project, report):
    """Also on the copy, into which version control is not copied."""
    (project / "pyproject.toml").unlink()
    (project / "requirements.txt").write_text("httpx\npenstock-monitoring\n")
    (project / ".git").mkdir()

    run("agents", "--write")

    assert (project / "requirements.txt").read_text() == "httpx\npenstock-monitoring\npenstock-limits\n"
    assert outcomes(report())["declared"] == "pass"


def test_a_second_run_rewrites_nothing_and_passes(project, report):
    """The journey can be repeated at any time, by a schedule too."""
    run(".", "--write", *TEST_COMMAND)
    before = bytes_of(project)

    assert run(".", "--write", *TEST_COMMAND).exit_code == 0
    assert report()["rewritten"] == []
    assert bytes_of(project) == before


def test_what_the_tests_refute_is_not_written(project, report):
    """A test that the rewrite breaks fails the phase, and the code stays as it was."""
    refuting = "import agents.research\n        self.assertFalse(hasattr(agents.research, 'penstock_limits'))"
    text = f"{TESTS}\n    def test_refutes(self):\n        {refuting}\n"
    (project / "tests/test_research.py").write_text(text)
    before = bytes_of(project)

    result = run(".", "--write", *TEST_COMMAND)

    assert result.exit_code == 1
    assert outcomes(report())["tests-off"] == "fail"
    assert "Nothing was written" in result.stdout
    assert bytes_of(project) == before


def test_tests_that_fail_anyway_blame_nobody(project, report):
    """They are run on the code as it was, too; the rewrite is then neither proven nor refuted."""
    (project / "tests/test_research.py").write_text(TESTS.replace("[1, 2]", "[3]"))

    assert run(".", *TEST_COMMAND).exit_code == 3
    assert "without the rewrite, too" in next(c["evidence"] for c in report()["checks"] if c["name"] == "tests-off")


def test_tests_without_the_runtime_are_told_what_to_install(project, report):
    """The rewritten code cannot be judged where it cannot be imported; without site-packages it cannot."""
    result = run(".", "--write", "--test-command", f"{sys.executable} -S -m unittest discover -s tests")

    assert result.exit_code == 3
    assert "penstock-limits is not installed where your tests run" in result.stdout
    assert report()["written"] is False


def test_tests_that_do_not_load_the_code_prove_nothing(project, report):
    """They pass whatever the rewrite does."""
    assert run(".", "--test-command", "python -c pass").exit_code == 3
    assert outcomes(report())["tests-enforce"] == "inconclusive"


def test_what_is_left_to_people_fails_the_phase(project, report):
    """With all evidence at hand, an unbounded fan-out that is not rewritten is one too many."""
    waiting = "asyncio.wait([asyncio.ensure_future(read(document)) for document in documents])"
    start, _, _ = FAN_OUT.partition("asyncio.gather")
    (project / "agents/waiting.py").write_text(f"{start}{waiting}\n")

    assert run(".", *TEST_COMMAND).exit_code == 1
    assert [each["path"] for each in report()["left"]] == ["agents/waiting.py"]


def test_a_file_changed_while_the_tests_ran_is_not_overwritten(project, monkeypatch):
    """The whole is left: what was verified is not what is there."""
    tried = phase1_module._tried

    def tried_then_edited(*arguments, **options):
        result = tried(*arguments, **options)
        (project / "agents/research.py").write_text("edited = True\n")
        return result

    monkeypatch.setattr(phase1_module, "_tried", tried_then_edited)
    before = bytes_of(project)

    result = run(".", "--write")

    assert result.exit_code == 1
    assert "agents/research.py: has changed since it was read" in result.stderr
    assert bytes_of(project) == before | {"agents/research.py": b"edited = True\n"}


def test_ctrl_c_leaves_the_code_as_it_was(project):
    """One line, status 130, no copy and no process left behind."""
    code = "import os, signal; os.kill(os.getppid(), signal.SIGINT); signal.pause()"
    before = bytes_of(project)

    command = ["penstock", "phase1", ".", "--write", "--test-command", f'{sys.executable} -c "{code}"']
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(project.parent)})

    assert (done.returncode, done.stderr) == (130, "Interrupted: nothing was written, your code is as it was\n")
    assert bytes_of(project) == before
    assert not list(project.parent.glob("penstock-*"))


def test_a_link_out_of_the_copy_is_not_followed_to_the_original(project, tmp_path, report):
    """On a copy, a link may still lead to what was not copied."""
    (tmp_path / "shared.py").write_text(FAN_OUT)
    (project / "agents/shared.py").symlink_to(tmp_path / "shared.py")
    (project / "agents/own.py").symlink_to(project / "agents/research.py")

    run(".")

    assert (tmp_path / "shared.py").read_text() == FAN_OUT
    assert (project / "agents/research.py").read_text() == FAN_OUT
    assert "agents/shared.py" in [each["path"] for each in report()["left"]]


def test_a_link_that_leads_round_ends(project):
    """Copying and auditing come to an end."""
    (project / "agents/loop").symlink_to("..")

    assert run(".").exit_code == 3


def test_what_cannot_be_copied_is_noted(project, report):
    """One line, and the rest goes on."""
    os.mkfifo(project / "pipe")

    assert run(".").exit_code == 3
    assert any("pipe: could not be copied" in note for note in report()["notes"])


def test_a_programs_path_is_one_from_where_people_are(project, tmp_path):
    """On the copy it would lead elsewhere."""
    (tmp_path / "run-tests").write_text(f"#!/bin/sh\nexec {sys.executable} -m pytest -q tests\n")
    (tmp_path / "run-tests").chmod(0o755)

    assert run(".", "--test-command", "../run-tests").exit_code == 0


def test_a_single_file_is_a_path_too(project, report):
    """Its project is found above it."""
    assert run("agents/research.py", *TEST_COMMAND).exit_code == 0
    assert {each["path"] for each in report()["rewritten"]} == {
        "agents/research.py",
        "agents/main.py",
        "pyproject.toml",
    }


@pytest.mark.parametrize("where", ["/", tempfile.gettempdir()], ids=["root", "temporary"])
def test_paths_are_the_projects_wherever_it_is_called(project, report, monkeypatch, tmp_path, where):
    """Never those of the copy, even when that lies beneath the working directory."""
    monkeypatch.chdir(where)

    CliRunner().invoke(phase1, [str(project), "--reports", str(tmp_path / "reports")], catch_exceptions=False)

    assert "agents/research.py" in [each["path"] for each in report()["rewritten"]]
    assert "penstock-phase1" not in (tmp_path / "reports/phase1.txt").read_text()


@pytest.mark.parametrize(
    "arguments", [["missing"], [".", "--test-command", ""], [".", "--test-command", "no-such-program"]]
)
def test_wrong_usage_is_status_2(project, arguments):
    """And nothing is reported, for nothing was done."""
    assert run(*arguments).exit_code == 2
    assert not (project.parent / "reports").exists()
