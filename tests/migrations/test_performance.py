"""What the gate reads of what `penstock perf` has written."""

import json
import os
import time

import pytest
from click.testing import CliRunner
from penstock_migrations._proving.performance import Performance, performance_of
from penstock_monitoring.commands import perf


@pytest.fixture
def project(tmp_path):
    """A project with one file, last changed at 1,000 seconds, and a reports folder."""
    (tmp_path / "main.py").write_text("")
    os.utime(tmp_path / "main.py", (1000, 1000))
    (tmp_path / "reports").mkdir()
    return tmp_path


def seen(project):
    return performance_of(project, project / "reports", [project / "main.py"])


def wrote(file, **changes):
    document = {"version": 1, "kind": "performance-comparison", "name": "answers", "verdict": "same", "at": 2000.0}
    document["interleaved"] = True
    file.write_text(json.dumps(document | changes))


def baseline(file, **changes):
    file.write_text(json.dumps({"version": 1, "kind": "performance-baseline", "name": "answers"} | changes))


def test_without_such_a_file_nothing_is_known(project):
    """Other reports, and what is no JSON, are none."""
    (project / "reports/verify.json").write_text('{"version": 1}')
    (project / "reports/list.json").write_text("[]")
    (project / "reports/broken.json").write_text("{")

    assert seen(project) is None
    assert performance_of(project, None, []) is None
    assert performance_of(project, project / "gone", []) is None


@pytest.mark.parametrize("folder", ["", "reports"])
def test_a_baseline_asks_for_a_comparison(project, folder):
    """In the root, where people commit it, or among the reports; one with a comparison asks for no more."""
    baseline(project / folder / "answers.perf.json")
    before = seen(project)
    wrote(project / "reports/perf.json")

    assert before == Performance(uncompared=("answers",))
    assert [each.name for each in seen(project).comparisons] == ["answers"]
    assert seen(project).uncompared == ()


@pytest.mark.parametrize(("at", "current"), [(1000.5, True), (1000.0, False), (999.0, False)])
def test_a_comparison_is_about_the_code_before_it(project, at, current):
    """One that is not newer than each file is about other code."""
    wrote(project / "reports/perf.json", at=at)

    assert [each.current for each in seen(project).comparisons] == [current]


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_comparison_says_whether_both_ran_in_turn(project, interleaved):
    """With runs of another time it cannot tell the code from the machine."""
    wrote(project / "reports/perf.json", interleaved=interleaved)

    assert [each.interleaved for each in seen(project).comparisons] == [interleaved]


def test_a_file_that_is_gone_makes_every_comparison_stale(project):
    """Its time cannot be known."""
    wrote(project / "reports/perf.json")
    (project / "main.py").unlink()

    assert [each.current for each in seen(project).comparisons] == [False]


def test_the_last_comparison_of_a_name_counts(project):
    """Whatever its file is called."""
    wrote(project / "reports/a.json", at=3000.0, verdict="better")
    wrote(project / "reports/b.json", at=2000.0, verdict="regressed")
    wrote(project / "reports/c.json", name="load", verdict="inconclusive")

    assert [(each.name, each.verdict) for each in seen(project).comparisons] == [
        ("answers", "better"),
        ("load", "inconclusive"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"verdict": "fine"},
        {"verdict": ["same"]},
        {"at": None},
        {"at": "soon"},
        {"at": float("inf")},
        {"at": float("nan")},
        {"at": 10**400},
        {"at": time.time() + 3600},
    ],
)
def test_evidence_that_cannot_be_read_is_named(project, changes):
    """It is no evidence, and not overlooked."""
    wrote(project / "reports/perf.json", **changes)

    assert seen(project).comparisons == ()
    assert seen(project).unreadable[0].startswith("perf.json: ")


def test_a_baseline_of_another_version_is_named(project):
    """It may ask for what this release does not know."""
    baseline(project / "answers.perf.json", version=2)

    assert seen(project).unreadable == ("answers.perf.json: ValueError('version 2 is not known')",)


@pytest.mark.slow
def test_what_penstock_perf_writes_is_read(project, monkeypatch):
    """The two meet by the format of the files alone."""
    monkeypatch.chdir(project)
    record = ["record", "--name", "nothing", "--runs", "2", "--warmup", "0", "--", "true"]
    compare = ["compare", "nothing.perf.json", "--pairs", "1", "--evidence", "reports/perf.json"]

    recorded = CliRunner().invoke(perf, record, catch_exceptions=False)
    before = seen(project)
    compared = CliRunner().invoke(perf, compare, catch_exceptions=False)

    assert (recorded.exit_code, compared.exit_code) == (0, 3), compared.output
    assert before == Performance(uncompared=("nothing",))
    assert [(each.name, each.verdict, each.current) for each in seen(project).comparisons] == [
        ("nothing", "inconclusive", True)
    ]


@pytest.mark.parametrize("text", ["<<<<<<< HEAD", "[]", '{"version": 1}', '{"kind": "another"}'])
@pytest.mark.parametrize("folder", ["", "reports"])
def test_a_file_with_a_baselines_name_that_is_none_is_named(project, folder, text):
    """Or a conflict in the one that is committed would end the comparing."""
    (project / folder / "answers.perf.json").write_text(text)

    assert seen(project).unreadable == ("answers.perf.json: it is neither a baseline nor a comparison",)


def test_the_root_may_be_the_reports_folder(project):
    """Each file there is read, and once."""
    baseline(project / "answers.perf.json")
    wrote(project / "perf.json", verdict="regressed")

    known = performance_of(project, project / ".", [project / "main.py"])

    assert [(each.name, each.verdict) for each in known.comparisons] == [("answers", "regressed")]
    assert (known.uncompared, known.unreadable) == ((), ())


def test_a_name_that_no_terminal_can_show_is_replaced(project):
    """JSON may hold half a character."""
    wrote(project / "reports/perf.json", name="\ud800")

    assert [each.name for each in seen(project).comparisons] == ["?"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_what_is_no_file_is_not_waited_for(project):
    """A pipe that nobody writes to would hold the gate for ever."""
    os.mkfifo(project / "reports/pipe.json")

    assert seen(project) is None
