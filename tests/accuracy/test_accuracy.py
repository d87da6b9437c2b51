"""How labels and findings are compared, on labels and findings made for it."""

from __future__ import annotations

import json
import re
import zipfile

import pytest
from penstock_migrations.rule import Finding, Fix, Severity

from tests.accuracy._corpus import HERE, FetchError, Label, fetch, labels, pins
from tests.accuracy._score import score


def label(kind: str, *, line: int = 10, end_line: int = 12, severity: str | None = None) -> Label:
    return Label("p==1", "p/a.py", line, end_line, 1, kind, severity, "data", "because")


def finding(line: int, *, severity: Severity = Severity.HIGH, issue: int = 1, path: str = "p/a.py"):
    found = Finding(
        code=f"PEN{issue}01",
        name="a-rule",
        issue=issue,
        phase=1,
        path="shown.py",
        line=line,
        end_line=line,
        column=1,
        function=None,
        severity=severity,
        message="",
        fix=Fix.NONE,
        fix_reason=None,
        fingerprint="",
        sha256="",
    )
    return "p==1", path, found


@pytest.mark.parametrize(("line", "found"), [(7, 0), (8, 1), (12, 1), (14, 1), (15, 0)])
def test_finds_within_two_lines(line, found):
    """A finding up to two lines before or after the labelled lines finds the defect."""
    result = score([label("defect")], [finding(line)])

    assert (len(result.found), len(result.missed)) == (found, 1 - found)


@pytest.mark.parametrize("other", [finding(10, issue=2), finding(10, path="p/b.py")])
def test_counts_only_its_own_issue_and_file(other):
    """Another issue or file finds nothing and accuses nobody."""
    result = score([label("defect"), label("ok")], [other])

    assert (result.found, len(result.missed), result.wrong) == ([], 1, [])


def test_lets_advice_neither_accuse_nor_find():
    """A finding of low severity counts for defects that are labelled low only."""
    advice = finding(10, severity=Severity.LOW)
    result = score([label("ok"), label("defect", severity="high"), label("defect", severity="low")], [advice])

    assert (len(result.wrong), len(result.missed), len(result.found)) == (0, 1, 1)


def test_leaves_out_what_the_reader_was_unsure_about():
    """A label `unsure` counts neither way."""
    result = score([label("unsure")], [finding(10)])

    assert (result.found, result.missed, result.wrong) == ([], [], [])


def test_computes_precision_and_recall():
    """Three found, one missed, two wrongly accused: 3/5 and 3/4."""
    places = [label("defect", line=line, end_line=line) for line in (10, 20, 30, 40)]
    places += [label("ok", line=line, end_line=line) for line in (50, 60, 70)]
    result = score(places, [finding(line) for line in (10, 20, 30, 50, 60)])

    assert (result.precision, result.recall) == (3 / 5, 3 / 4)


def test_tells_the_score_without_a_package():
    """What one package contributed is taken out of all three counts."""
    other = Label("q==1", "q/a.py", 10, 12, 1, "defect", None, "data", "because")
    result = score([label("defect"), label("ok", line=50, end_line=50), other], [finding(10), finding(50)])

    assert (result.packages, result.recall) == (["p==1", "q==1"], 0.5)
    assert (result.without("q==1").recall, result.without("q==1").precision) == (1.0, 0.5)


def test_has_labels_and_pins_that_belong_together():
    """Every labelled package is pinned, and every hash looks like one."""
    assert {one.package for one in labels()} <= set(pins())
    assert all(re.fullmatch(r"[0-9a-f]{64}", pin["sha256"]) for pin in pins().values() if pin.get("sha256"))
    assert {one.label for one in labels()} == {"defect", "ok", "unsure"}


# Packages that are labelled and whose API the rules know; `written` holds modules of our own.
_LIBRARIES = {"asyncpg", "celery", "httpx", "huggingface-hub", "huggingface_hub", "redis", "tenacity", "written"}


def test_no_rule_knows_a_package_or_a_path():
    """The rules' code names no labelled package and no labelled file."""
    source = "".join(file.read_text() for file in (HERE.parents[1] / "migrations/penstock_migrations").rglob("*.py"))
    packages = {one.package.partition("==")[0] for one in labels()} - _LIBRARIES
    names = packages | {package.replace("-", "_") for package in packages}

    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", source)]


def test_unpacks_the_python_files_of_a_verified_wheel(tmp_path, monkeypatch):
    """A wheel that is there and right is unpacked once, Python files only."""
    wheel(tmp_path, "p-1-py3-none-any.whl")
    (folder,) = fetch(["p==1"], tmp_path, lambda: None).values()

    assert sorted(one.name for one in folder.rglob("*") if one.is_file()) == ["a.py"]


def test_refuses_a_wheel_that_is_not_the_labelled_one(tmp_path, monkeypatch):
    """A wheel with another hash is refused and removed."""
    file = wheel(tmp_path, "p-1-py3-none-any.whl")
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins/p.json").write_text(json.dumps({"p==1": {"wheel": file.name, "sha256": "0" * 64}}))
    monkeypatch.setattr("tests.accuracy._corpus.HERE", tmp_path)

    with pytest.raises(FetchError, match="its hash differs"):
        fetch(["p==1"], tmp_path, lambda: None)

    assert not file.exists()


def wheel(cache, name):
    file = cache / "wheels" / "p==1" / name
    file.parent.mkdir(parents=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("p/a.py", "x = 1\n")
        archive.writestr("p/data.bin", "x")
    return file
