"""The comparison of projects' own tests: what is alike, what differs, and what the recorder writes down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.realworld._projects import PROJECTS, Project
from tests.realworld._results import Difference, Run, differences, recorded
from tests.realworld._running import RealWorldError, fetch, rewrite, run_tests

pytestmark = pytest.mark.slow  # each runs pytest in a process of its own, or the codemod

TESTS = """
import pytest
import jobs

@pytest.fixture
def broken():
    raise LookupError("no such thing")

def test_passes():
    assert jobs.answer() == 42

def test_fails():
    assert jobs.answer() == 43

@pytest.mark.skip(reason="no server")
def test_skipped():
    pass

@pytest.mark.xfail
def test_known():
    assert False

def test_error(broken):
    pass
"""
JOBS = """
import threading

def answer():
    found = []
    thread = threading.Thread(target=lambda: found.append(42))
    thread.start()
    while not found:
        pass
    return found[0]
"""
PROJECT = Project("jobs", "1", arguments=("tests",))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A project with a thread that nobody owns, and tests that end in every way."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "jobs"\nversion = "1"\ndependencies = []\n')
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "tests" / "test_jobs.py").write_text(TESTS)
    (tmp_path / "tests" / "test_lost.py").write_text("import nowhere_to_be_found")
    return tmp_path


def run(source: Path, mode: str = "off") -> Run:
    return run_tests(PROJECT, source, Path(sys.executable), mode, source / "record.json")


def test_records_how_each_test_ended_and_why(source):
    """Passed, failed, skipped, an error of a fixture, an expected failure, a file that could not be collected."""
    found = run(source)

    assert found.outcomes == {
        "tests/test_jobs.py::test_passes": "passed",
        "tests/test_jobs.py::test_fails": "failed",
        "tests/test_jobs.py::test_skipped": "skipped",
        "tests/test_jobs.py::test_known": "skipped as expected",
        "tests/test_jobs.py::test_error": "error",
        "tests/test_lost.py": "not collected (failed)",
    }
    assert found.reasons["tests/test_jobs.py::test_skipped"] == "Skipped: no server"
    assert found.reasons["tests/test_jobs.py::test_error"] == "LookupError: no such thing"
    assert found.reasons["tests/test_lost.py"].startswith("ModuleNotFoundError")
    assert str(source / "jobs.py") in found.loaded


def test_a_rewritten_project_ends_as_before_in_every_mode(source):
    """The codemods rewrite the thread, the tests load what was rewritten, and each ends as it did."""
    before = run(source)
    changed = rewrite(source)

    assert changed == ["jobs.py"]
    assert "penstock_tasks.Thread" in (source / "jobs.py").read_text()
    for mode in ("off", "observe", "enforce"):
        assert differences(before, run(source, mode)) == []


def test_tells_what_differs(source):
    """A rewrite that broke something would be seen, test by test, with the reason."""
    before = run(source)
    (source / "jobs.py").write_text("def answer():\n    return 43\n")

    assert [(one.test, one.before, one.after) for one in differences(before, run(source))] == [
        ("tests/test_jobs.py::test_fails", "failed", "passed"),
        ("tests/test_jobs.py::test_passes", "passed", "failed"),
    ]


def test_a_test_that_is_gone_or_new_differs():
    """So a file that cannot be collected any more is no silent success."""
    before, after = Run({"a": "passed", "b": "passed"}, {}), Run({"b": "passed", "c": "failed"}, {"c": "TypeError"})

    assert differences(before, after) == [
        Difference("a", "passed", "absent", ""),
        Difference("c", "absent", "failed", "TypeError"),
    ]


def test_reads_what_was_recorded():
    """The record is one JSON object."""
    text = json.dumps({"ended": {"a": ["passed", ""], "b": ["failed", "KeyError: 1"]}, "loaded": ["x.py"]})

    assert recorded(text) == Run({"a": "passed", "b": "failed"}, {"b": "KeyError: 1"}, frozenset({"x.py"}))


def test_tests_that_leave_no_record_are_inconclusive(source):
    """A program that dies before its end proves nothing."""
    (source / "conftest.py").write_text("import os\nos._exit(7)\n")

    with pytest.raises(RealWorldError, match="mode off left no record"):
        run(source)


def test_what_cannot_be_fetched_is_inconclusive(tmp_path, monkeypatch):
    """Its name and what pip said are told."""
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "no such version\n"))

    with pytest.raises(RealWorldError, match="no such version"):
        fetch(PROJECT, tmp_path)


def test_each_project_says_what_does_not_run():
    """Nothing is left out silently."""
    assert all(project.skipped.endswith(".") for project in PROJECTS)
    assert os.sep not in "".join(project.name for project in PROJECTS)
