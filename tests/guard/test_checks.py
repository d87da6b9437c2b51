"""Each check accuses what leaks, and leaves alone what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guard.runs import SUITES, Run, run

INI = "penstock_guard_fanout = 10\npenstock_guard_block = 0.2\n"
LEAKS = {
    "test_task": ("task", "PEN603"),
    "test_task_in_a_loop_that_stands_still": ("task", "PEN603"),
    "test_async_generator": ("async-generator", "PEN606"),
    "test_async_generator_left_by_break": ("async-generator", "PEN606"),
    "test_thread": ("thread", "PEN301"),
    "test_daemon_thread": ("thread", "PEN301"),
    "test_thread_of_a_coroutine": ("thread", "PEN301"),
    "test_thread_that_is_only_observed": ("thread", "PEN301"),
    "test_thread_of_a_thread": ("thread", "PEN301"),
    "test_executor": ("executor", "PEN605"),
    "test_executor_of_processes": ("executor", "PEN605"),
    "test_subprocess": ("subprocess", "PEN605"),
    "test_subprocess_of_asyncio": ("subprocess", "PEN605"),
    "test_subprocess_of_multiprocessing": ("subprocess", "PEN605"),
    "test_socket": ("socket", "PEN601"),
    "test_socket_of_a_stream": ("socket", "PEN601"),
    "test_file": ("file", "PEN604"),
    "test_client": ("client", "PEN601"),
    "test_client_of_aiohttp": ("client", "PEN601"),
    "test_pool": ("pool", "PEN601"),
    "test_pool_of_psycopg": ("pool", "PEN601"),
    "test_blocked_loop": ("blocked-loop", "PEN503"),
    "test_blocked_loop_by_a_call": ("blocked-loop", "PEN502"),
    "test_fan_out": ("fan-out", "PEN101"),
    "test_fan_out_of_tasks": ("fan-out", "PEN102"),
    "test_connections": ("connections", "PEN201"),
    "test_connections_not_returned": ("connections", "PEN601"),
    "test_permit": ("permit", "PEN101"),
    "test_breaker": ("breaker", "PEN702"),
    "test_breaker_switched_off": ("breaker", "PEN701"),
    "test_breaker_patched": ("breaker", "PEN704"),
    "test_retry": ("retry", "PEN802"),
    "test_retry_of_many": ("retry", "PEN802"),
    "test_retry_of_a_library": ("retry", "PEN801"),
}
WITHOUT_A_LINE = {"test_connections", "test_connections_not_returned", "test_breaker_patched"}


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("leaking"), SUITES / "leaking.py", "--penstock-guard=report", ini=INI)


def test_what_leaks_is_known_to_this_test(leaking: Run) -> None:
    """Every test of the suite passes, and every one is looked for below."""
    assert leaking.status == 0, leaking.text
    assert leaking.report is not None
    assert leaking.report["version"] == 1
    assert leaking.report["mode"] == "report"
    assert leaking.report["tests"] == len(LEAKS)


@pytest.mark.parametrize("test", LEAKS)
def test_what_a_test_leaves_or_does_is_accused_once(test: str, leaking: Run) -> None:
    """With the check, the rule that explains it, and the line that made it."""
    assert leaking.report is not None
    accused = [each for each in leaking.report["accusations"] if each["test"] == f"test_it.py::{test}"]

    assert [(each["check"], each["code"]) for each in accused] == [LEAKS[test]]
    assert (accused[0]["path"] is None) == (test in WITHOUT_A_LINE)
    assert accused[0]["path"] in {None, "test_it.py"}
    assert accused[0]["baseline"] is False


def test_the_line_is_the_one_that_made_it(leaking: Run) -> None:
    """Not one of pytest's, of a library or of the guard."""
    assert leaking.report is not None
    source = (SUITES / "leaking.py").read_text(encoding="utf-8").splitlines()
    lines = {
        each["test"].rpartition("::")[2]: source[(each["line"] or 1) - 1] for each in leaking.report["accusations"]
    }

    assert "asyncio.create_task(forever())" in lines["test_task"]
    assert "await anext(" in lines["test_async_generator"]
    assert "threading.Thread(target=event.wait).start()" in lines["test_thread"]
    assert "ThreadPoolExecutor(1)" in lines["test_executor"]
    assert "create_subprocess_exec" in lines["test_subprocess_of_asyncio"]
    assert "asyncio.open_connection" in lines["test_socket_of_a_stream"]
    assert "path.open()" in lines["test_file"]
    assert "time.sleep(" in lines["test_blocked_loop_by_a_call"]
    assert "asyncio.gather(" in lines["test_fan_out"]
    assert "await KEPT[-1].acquire()" in lines["test_permit"]
    assert "await asyncio.sleep(delay)" in lines["test_retry"]


def test_what_ends_or_is_limited_is_not_accused(tmp_path: Path) -> None:
    """Nor what somebody owns: a fixture, a manager, a loop, asyncio.run."""
    ini = "penstock_guard_fanout = 10\npenstock_guard_block = 30\n"

    clean = run(tmp_path, SUITES / "clean.py", "--penstock-guard=report", ini=ini)

    assert clean.status == 0, clean.text
    assert clean.accused == []
