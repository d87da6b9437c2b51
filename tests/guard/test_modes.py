"""What switches the guard on, what fails, and what is known already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.guard.runs import Run, run

LEAK = """
import socket, pytest
KEPT = []
def leak():
    KEPT.append(socket.socket())
def test_leak():
    leak()
def test_clean():
    pass
"""
BOTH = LEAK.replace("def test_clean():\n    pass", "def test_clean():\n    KEPT.append(socket.socket())")
ACCUSED = [("test_leak", "socket")]


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    """And installs nothing: no thread, no patch, no audit hook, nothing imported."""
    done = run(
        tmp_path,
        """
import sys, threading, socket, subprocess, asyncio
def test_nothing():
    assert threading.active_count() == 1
    assert not any(name.startswith("penstock_guard._checks") for name in sys.modules)
    assert not any(name.startswith("penstock_limits") for name in sys.modules)
    for function in (threading.Thread.start, socket.socket.__init__, subprocess.Popen.__init__):
        assert not hasattr(function, "__wrapped__")
    assert not hasattr(asyncio.BaseEventLoop.run_forever, "__wrapped__")
""",
    )

    assert done.status == 0, done.text
    assert done.report is None


@pytest.mark.parametrize(
    ("arguments", "ini", "environment", "status"),
    [
        (["--penstock-guard"], "", {}, 0),
        (["--penstock-guard=report"], "", {}, 0),
        (["--penstock-guard=fail"], "", {}, 1),
        ([], "penstock_guard = report\n", {}, 0),
        ([], "penstock_guard = fail\n", {}, 1),
        ([], "", {"PENSTOCK_GUARD": "fail"}, 1),
        ([], "penstock_guard = report\n", {"PENSTOCK_GUARD": "fail"}, 1),
        (["--penstock-guard=report"], "penstock_guard = fail\n", {"PENSTOCK_GUARD": "fail"}, 0),
    ],
)
def test_the_command_line_goes_before_the_environment_and_that_before_the_ini_file(
    tmp_path: Path, arguments: list[str], ini: str, environment: dict[str, str], status: int
) -> None:
    """Report accuses, fail fails; the mode without a value is report."""
    done = run(tmp_path, LEAK, *arguments, ini=ini, **environment)

    assert done.status == status, done.text
    assert done.accused == ACCUSED


def test_a_failing_test_says_what_it_left_where_and_what_to_do(tmp_path: Path) -> None:
    """As a failure of the test, without a traceback of the guard."""
    done = run(tmp_path, LEAK, "--penstock-guard=fail", "-q")

    assert "socket: the socket 0.0.0.0:0 -> nobody was left open" in done.text
    assert "at test_it.py:5 in leak" in done.text
    assert "PEN601: Close what holds the socket" in done.text
    assert "penstock explain PEN601" in done.text
    assert "Traceback" not in done.text
    assert done.counts("failed") == done.counts("passed") == 1


def test_the_marker_goes_before_the_session(tmp_path: Path) -> None:
    """In both directions, and the nearest marker wins."""
    source = """
import socket, pytest
KEPT = []
pytestmark = pytest.mark.penstock_guard("fail")
def test_fails():
    KEPT.append(socket.socket())
@pytest.mark.penstock_guard("report")
def test_reports():
    KEPT.append(socket.socket())
@pytest.mark.penstock_guard(mode="off")
def test_off():
    KEPT.append(socket.socket())
"""

    done = run(tmp_path, source, "--strict-markers")

    assert (done.counts("failed"), done.counts("passed")) == (1, 2), done.text
    assert done.accused == [("test_fails", "socket"), ("test_reports", "socket")]


def test_off_on_the_command_line_goes_before_markers(tmp_path: Path) -> None:
    """One word to be rid of it."""
    source = LEAK.replace("def test_leak", '@pytest.mark.penstock_guard("fail")\ndef test_leak')

    assert run(tmp_path, source).status == 1
    assert run(tmp_path, source, "--penstock-guard=off").status == 0


@pytest.mark.parametrize(
    ("arguments", "ini", "said"),
    [
        (["--penstock-guard=loud"], "", "'loud' is no mode; allowed are off, report, fail"),
        (["--penstock-guard", "test_it.py"], "", "write --penstock-guard=report, with `=`"),
        ([], "penstock_guard = on\n", "penstock_guard in the ini file: 'on' is no mode"),
        ([], "penstock_guard_fanout = many\n", "penstock_guard_fanout = 'many'; allowed is a whole number from 1"),
        ([], "penstock_guard_fanout = 0\n", "allowed is a whole number from 1"),
        ([], "penstock_guard_block = -1\n", "penstock_guard_block = '-1'; allowed are seconds above 0"),
        ([], "penstock_guard_block = inf\n", "allowed are seconds above 0"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(tmp_path: Path, arguments: list[str], ini: str, said: str) -> None:
    """Before any test runs, with pytest's status for wrong usage."""
    done = run(tmp_path, LEAK, *arguments, ini=ini)

    assert done.status == 4, done.text
    assert said in done.text


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('"loud"', "'loud' is no mode"),
        ("fanout=0", "fanout = 0; allowed is a whole number from 1"),
        ("block='x'", "block = 'x'; allowed are seconds above 0"),
        ("ignore='tread'", "ignore = tread; allowed are client, pool, executor"),
        ("fan_out=3", "allowed are a mode, fanout=, block= and ignore="),
        ("'off', mode='off'", "allowed are a mode, fanout=, block= and ignore="),
    ],
)
def test_a_wrong_marker_fails_its_test(tmp_path: Path, marker: str, said: str) -> None:
    """With the test's name."""
    source = LEAK.replace("def test_clean", f"@pytest.mark.penstock_guard({marker})\ndef test_clean")

    done = run(tmp_path, source, "--penstock-guard")

    assert done.counts("failed") == 1
    assert "test_it.py::test_clean: the marker penstock_guard" in done.text
    assert said in done.text


def known(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((folder / "penstock-guard-baseline.json").read_text())["known"]
    return found


def test_a_baseline_is_a_ratchet(tmp_path: Path) -> None:
    """What is known is reported, what is new fails, and mode fail knows no mercy."""
    assert run(tmp_path, LEAK, "--penstock-guard=fail", "--penstock-guard-update-baseline").status == 0
    assert known(tmp_path) == [{"check": "socket", "where": "test_it.py::leak"}]

    moved = run(tmp_path, "\n\n" + LEAK, "--penstock-guard=report")
    assert moved.status == 0, moved.text
    assert "(in the baseline)" in moved.text
    assert moved.report is not None
    assert [each["baseline"] for each in moved.report["accusations"]] == [True]

    grown = run(tmp_path, BOTH, "--penstock-guard=report")
    assert (grown.counts("failed"), grown.counts("passed")) == (1, 1)
    assert "2 accusations in 2 tests, 1 of them new" in grown.text

    assert run(tmp_path, LEAK, "--penstock-guard=fail").status == 1

    run(tmp_path, LEAK.replace("leak()\n", "pass\n", 2), "--penstock-guard", "--penstock-guard-update-baseline")
    assert known(tmp_path) == []


def test_without_a_baseline_nothing_fails_in_mode_report(tmp_path: Path) -> None:
    """The first step of a roll-out only looks."""
    assert run(tmp_path, BOTH, "--penstock-guard=report").status == 0


def test_a_baseline_may_have_another_name(tmp_path: Path) -> None:
    """From the ini file, relative to the root."""
    ini = "penstock_guard = report\npenstock_guard_baseline = known/guard.json\n"
    (tmp_path / "known").mkdir()

    assert run(tmp_path, LEAK, "--penstock-guard-update-baseline", ini=ini).status == 0
    assert (tmp_path / "known/guard.json").exists()
    assert run(tmp_path, BOTH, ini=ini).status == 1


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2, "known": []}', '{"version": 1}'])
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    """Else it would let everything fail, or nothing."""
    (tmp_path / "penstock-guard-baseline.json").write_text(text)

    done = run(tmp_path, LEAK, "--penstock-guard")

    assert done.status == 4
    assert "is no baseline of penstock_guard" in done.text
    assert "--penstock-guard-update-baseline" in done.text


def test_the_environment_names_the_report_too(tmp_path: Path) -> None:
    """So a gate can watch any test command."""
    path = tmp_path / "made" / "guard.json"

    run(tmp_path, LEAK, "--penstock-guard-report=", PENSTOCK_GUARD="report", PENSTOCK_GUARD_REPORT=str(path))

    assert json.loads(path.read_text())["tests"] == 2


def test_what_was_replaced_is_put_back(tmp_path: Path) -> None:
    """After each test, also after one that fails, and after one that replaces the same."""
    done = run(
        tmp_path,
        """
import asyncio, socket, subprocess, sys, threading, pytest
from concurrent.futures import ThreadPoolExecutor
def assert_restored():
    for function in (threading.Thread.start, socket.socket.__init__, subprocess.Popen.__init__,
                     ThreadPoolExecutor.__init__, ThreadPoolExecutor.shutdown, asyncio.BaseEventLoop.run_forever):
        assert not hasattr(function, "__wrapped__"), function
@pytest.fixture(autouse=True)
def restored():
    assert_restored()
    yield
    assert_restored()
@pytest.fixture
async def loop():
    yield asyncio.get_running_loop()
async def test_one(loop):
    assert hasattr(threading.Thread.start, "__wrapped__")
    assert "create_task" in vars(loop)
@pytest.mark.xfail(strict=True)
async def test_failing(loop):
    raise AssertionError
def test_replacing(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: None)
        threading.Thread().start()
async def test_task_factory(loop):
    made = []
    def factory(loop, coro, **options):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)
    loop.set_task_factory(factory)
    await asyncio.create_task(asyncio.sleep(0))
    assert len(made) == 1
    assert loop.get_task_factory() is factory
""",
        "--penstock-guard=fail",
    )

    assert done.status == 0, done.text


def test_the_summary_groups_what_one_line_made(tmp_path: Path) -> None:
    """With the first test and the number of the others."""
    source = LEAK.replace("def test_leak", "@pytest.mark.parametrize('number', range(3))\ndef test_leak").replace(
        "test_leak()", "test_leak(number)"
    )

    done = run(tmp_path, source, "--penstock-guard")

    assert "in test_it.py::test_leak[0] and 2 more" in done.text
    assert "3 accusations in 4 tests" in done.text


def summary(done: Run) -> str:
    return done.text.partition("penstock guard")[2]


def test_nothing_is_said_where_nothing_is_accused(tmp_path: Path) -> None:
    """A quiet terminal."""
    done = run(tmp_path, "def test_clean(): pass", "--penstock-guard")

    assert done.status == 0
    assert summary(done) == ""
