"""How tasks come to their end: drained, cancelled, left behind; and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref

import anyio
import pytest
from penstock_limits.testing import recorded, run_in_virtual_time
from penstock_tasks import JobEnd, ShutdownReport, TaskManager, create_task
from penstock_tasks._shown import shown_name

from tests.limits.gauge import settled
from tests.tasks.tasks.helpers import fail, reported, stubborn


def ends(report: ShutdownReport | None) -> list[tuple[str, str]]:
    assert report is not None
    return [(end.name, end.outcome) for end in report.ends]


def test_work_in_flight_has_its_time_to_end() -> None:
    """What is not done by the deadline is cancelled; the report says which, when and where it stood."""

    async def main() -> ShutdownReport | None:
        async with TaskManager("jobs", drain_timeout=10) as tasks:
            tasks.start_soon(asyncio.sleep, 3, name="quick")
            tasks.create_task(fail_after(4), name="unlucky")
            tasks.create_task(wait_long(), name="slow")
        return tasks.report

    async def wait_long() -> None:
        await asyncio.sleep(1000)

    async def fail_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise ValueError

    report = run_in_virtual_time(main)

    assert report is not None
    assert ends(report) == [("unlucky", "failed"), ("slow", "cancelled"), ("quick", "finished")]
    assert [round(end.seconds) for end in report.ends] == [4, 10, 3]
    assert [end.where and end.where.function.rpartition(".")[2] for end in report.ends] == [
        *("fail_after", "wait_long", None)
    ]
    assert str(report).splitlines()[:2] == [
        "jobs was shut down in 10 s: 1 failed, 1 cancelled, 1 finished",
        f"  unlucky: failed after 4 s at {report.ends[0].where}",
    ]


def test_a_task_that_swallows_cancellation_does_not_hold_up_the_exit(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the manager's nor that of `asyncio.run`: it is named, with its stack, and left."""

    async def main() -> ShutdownReport | None:
        async with TaskManager(drain_timeout=1, cancel_timeout=2) as tasks:
            tasks.start_soon(stubborn, asyncio.Event(), name="stubborn")
        assert (tasks.statistics().left_behind, tasks.statistics().running) == (1, 0)
        assert tasks.statistics().started == 1
        return tasks.report

    with recorded() as events:
        report = run_in_virtual_time(main)

    assert report is not None
    [left] = report.left_behind
    assert (left.name, left.outcome, round(left.seconds)) == ("stubborn", "left behind", 3)
    assert str(left.where).endswith(" in stubborn")
    assert [each.name for each in events] == ["task.left_behind", "tasks.shut_down"]
    [told] = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert "task 'stubborn' of 'tasks' was cancelled, does not stop and is left behind, and waits for event" in told
    assert "in stubborn" in told
    gc.collect()


def test_no_log_has_a_name_with_spaces(caplog: pytest.LogCaptureFixture) -> None:
    """People put prompts into names; the report's data, which are the program's own, have them."""
    caplog.set_level(logging.DEBUG)
    prompt, error = "summarise the divorce of Mr Smith", ValueError()

    async def wait_for(task: asyncio.Task[str]) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(task)
                await task

    async def main() -> ShutdownReport | None:
        async with TaskManager("jobs", drain_timeout=1, cancel_timeout=1) as tasks:
            left = tasks.start_soon(stubborn, asyncio.Event(), name=prompt)
            tasks.start_soon(wait_for, left, name=f"after {prompt}")
            failing = tasks.start_soon(fail, error, name=f"why {prompt}")
            tasks.service(fail, ValueError(), name=f"serve {prompt}")
            with contextlib.suppress(ValueError):
                await failing
        return tasks.report

    with recorded() as events:
        report = run_in_virtual_time(main)
    gc.collect()

    assert report is not None
    assert prompt in [end.name for end in report.left_behind]
    assert {"task.failed", "task.left_behind", "service.restarted"} <= {event.name for event in events}
    told = [record.getMessage() for record in caplog.records if record.name.startswith("penstock")]
    assert any("task '***' of 'jobs' was cancelled, does not stop" in line for line in told)
    assert any("***: left behind after" in line for line in told)
    assert "task '***' of 'jobs' was made at" in str(error.__notes__)
    assert [text for text in (*told, *error.__notes__, str(report), str(events)) if "divorce" in text] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Task-7", "Task-7"),
        ("agents.rag:fetch", "agents.rag:fetch"),
        ("Thread-3 (serve_forever)", "Thread-3 (serve_forever)"),
        ("Thread-3 (why does it)", "***"),
        ("summarise the divorce", "***"),
        ("two\nlines", "***"),
        ("", "***"),
    ],
)
def test_what_a_log_shows_of_a_name(name: str, said: str) -> None:
    """A word, or what CPython calls a thread."""
    assert shown_name(name) == said


async def test_an_outer_cancellation_ends_the_tasks_at_once() -> None:
    """A timeout around the block is not made longer by the drain."""
    with pytest.raises(TimeoutError):  # noqa: PT012
        async with asyncio.timeout(0.01), TaskManager(drain_timeout=60) as tasks:
            task = tasks.create_task(asyncio.Event().wait())
            await asyncio.Event().wait()

    assert task.cancelled()


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_comes_while_it_drains_hurries_it(turns: int) -> None:
    """Whenever it comes; everything has ended when it goes on."""
    entered: list[TaskManager] = []

    async def main() -> None:
        async with TaskManager(drain_timeout=60) as tasks:
            entered.append(tasks)
            tasks.create_task(asyncio.Event().wait())

    program = asyncio.create_task(main())
    for _ in range(turns + 2):
        await asyncio.sleep(0)
    program.cancel()
    with pytest.raises(asyncio.CancelledError):
        await program

    assert ends(entered[0].report) in ([("Task-" + name, "cancelled") for name in [_number(entered[0])]], [])
    assert entered[0].statistics().running == 0


def _number(tasks: TaskManager) -> str:
    assert tasks.report is not None
    return tasks.report.ends[0].name.removeprefix("Task-") if tasks.report.ends else ""


async def test_all_tasks_of_the_loop_cancelled_hurries_it() -> None:
    """As `asyncio.run` does it at its end."""
    tasks = TaskManager(drain_timeout=60)
    task = tasks.create_task(asyncio.Event().wait())
    ending = asyncio.create_task(tasks.cleanup_tasks())
    await settled()
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()

    with contextlib.suppress(asyncio.CancelledError):
        await ending

    assert task.cancelled()
    assert tasks.report is not None


async def test_a_task_may_end_all_others() -> None:
    """It does not wait for itself, and is not cancelled."""
    tasks = TaskManager(drain_timeout=0)

    async def last() -> ShutdownReport:
        return await tasks.cleanup_tasks()

    others = [tasks.create_task(asyncio.Event().wait()) for _ in range(3)]
    report = await tasks.start_soon(last)

    assert all(each.cancelled() for each in others)
    assert {outcome for _, outcome in ends(report)} == {"cancelled"}
    assert len(report.ends) == 3


async def test_two_who_end_it_get_the_same_report() -> None:
    """They wait for one ending; one of them may be one of its tasks."""
    tasks = TaskManager(drain_timeout=60)
    go = asyncio.Event()
    task = tasks.start_soon(go.wait)
    first, second = asyncio.create_task(tasks.cleanup_tasks()), tasks.start_soon(tasks.cleanup_tasks)
    await settled()
    go.set()

    assert await first is await second
    assert task.result() is True


async def test_tasks_started_while_it_drains_are_waited_for() -> None:
    """A chain of them, each started by the one before."""
    ended = []

    async def link(number: int) -> None:
        await asyncio.sleep(0)
        if number:
            tasks.start_soon(link, number - 1)
        ended.append(number)

    async with TaskManager(drain_timeout=60) as tasks:
        tasks.start_soon(link, 20)

    assert sorted(ended) == list(range(21))


async def test_what_cannot_start_any_more_fails_and_is_reported() -> None:
    """A task that answers its cancellation with new work."""

    async def obstinate() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.start_soon(asyncio.sleep, 0)

    with reported() as errors:
        async with TaskManager(drain_timeout=0) as tasks:
            tasks.start_soon(obstinate)
            await settled()
        gc.collect()

    assert [str(each) for each in errors] == [
        (
            "task manager 'tasks' is cancelling and takes no more work in; "
            "make another one, or start the work before its block is left"
        )
    ]


async def test_nothing_of_the_tasks_is_kept_after_the_end() -> None:
    """Neither by the manager nor by its report."""

    class Result:
        pass

    async def work() -> Result:
        await asyncio.sleep(0)
        return Result()

    async with TaskManager() as tasks:
        task = tasks.start_soon(work)
    result, gone = weakref.ref(task.result()), weakref.ref(task)
    del task
    gc.collect()

    assert (result(), gone()) == (None, None)


def test_a_report_of_many_says_how_many_more() -> None:
    """The data has them all."""
    report = ShutdownReport("many", 1.0, tuple(JobEnd(f"{at}", "finished", 1.0, None) for at in range(150)))

    assert str(report).splitlines()[-1] == "  and 50 more"
    assert report.counts() == {"finished": 150}
    assert str(ShutdownReport("none", 0.0, ())) == "none was shut down in 0 s: nothing was running"


async def test_an_error_is_not_lost_to_a_cancellation() -> None:
    """With `on_failure="cancel"`, asyncio was told that it would be raised."""
    stopping, may_end = asyncio.Event(), asyncio.Event()

    async def linger() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopping.set()
            await may_end.wait()

    async def main() -> None:
        async with TaskManager(on_failure="cancel") as tasks:
            tasks.start_soon(linger)
            tasks.create_task(fail(ValueError("precious")))

    task = asyncio.create_task(main())
    await stopping.wait()
    task.cancel()
    await settled()
    may_end.set()
    [group] = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(group, ExceptionGroup)
    assert [str(each) for each in group.exceptions] == ["precious"]


async def test_an_error_that_statistics_come_upon_is_raised() -> None:
    """The block is cancelled while it runs, and left before it could be told."""

    async def bad() -> None:
        raise ValueError

    async def main() -> None:
        async with TaskManager(on_failure="cancel") as tasks:
            tasks.create_task(bad())
            await asyncio.sleep(0)
            tasks.statistics()

    with pytest.raises(ExceptionGroup):
        await main()


async def test_observing_a_failure_cancels_nothing() -> None:
    """What would have ended everything is counted, as all failures are."""
    with reported():
        async with TaskManager(on_failure="cancel", mode="observe") as tasks:
            task = tasks.create_task(fail(ValueError()))
            await asyncio.wait([task])
            await settled()
            assert tasks.statistics().failed == 1


async def test_the_cancellation_is_the_callers_own() -> None:
    """It is known by its message, by anyio for one."""

    async def main() -> None:
        async with TaskManager() as tasks:
            tasks.start_soon(asyncio.sleep, 3600)

    task = asyncio.create_task(main())
    await settled()
    task.cancel("by the owner")
    with pytest.raises(asyncio.CancelledError, match="by the owner"):
        await task
    with anyio.move_on_after(0.01) as over:
        await main()
    assert over.cancelled_caught


async def test_a_task_that_joins_in_the_ending_is_not_left_behind() -> None:
    """Somebody else has begun it, and has waited for that task until then."""
    tasks = TaskManager()
    ending = asyncio.Event()

    async def join() -> None:
        await ending.wait()
        await tasks.cleanup_tasks()

    joined = tasks.start_soon(join)
    cleanup = asyncio.create_task(tasks.cleanup_tasks())
    await settled()
    ending.set()
    assert (await cleanup).ends == ()
    await joined


async def test_an_ending_that_is_cancelled_before_it_begins_begins_again() -> None:
    """As when `asyncio.run` ends, and cancels every task in just that turn."""
    end = asyncio.Event()
    tasks = TaskManager(cancel_timeout=0.01)
    tasks.start_soon(stubborn, end)
    await settled()
    cleanup = asyncio.create_task(tasks.cleanup_tasks())
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cleanup
    assert [outcome for _, outcome in ends(tasks.report)] == ["left behind"]
    end.set()


async def test_only_its_own_loop_ends_it() -> None:
    """Another one is told so; what nobody has used yet is closed."""
    tasks = TaskManager()
    await tasks.start_soon(asyncio.sleep, 0)
    with pytest.raises(RuntimeError, match="outside of the event loop it belongs to"):
        await asyncio.to_thread(asyncio.run, tasks.cleanup_tasks())
    await tasks.cleanup_tasks()
    unused = TaskManager()
    await unused.cleanup_tasks()
    with pytest.raises(RuntimeError, match="is closed and takes no more work in"):
        unused.start_soon(asyncio.sleep, 0)


async def test_what_a_cancelled_task_makes_to_clean_up_is_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the drop-in: it is neither cancelled nor taken for one that does not stop."""
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "enforce")
    made = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            made.append(create_task(gate.wait()))

    gate = asyncio.Event()
    async with TaskManager(drain_timeout=0.01, cancel_timeout=0.01) as tasks:
        tasks.start_soon(work, name="work")
    assert ends(tasks.report) == [("work", "cancelled")]
    gate.set()
    assert await made[0]
