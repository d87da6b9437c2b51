"""Owning tasks: kept, isolated, refused where they do not belong, failed without a loss."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import threading
import weakref

import penstock_limits
import pytest
from penstock_limits import ConfigurationError, Limiter, Mode, UnknownLimitError, resources
from penstock_limits.testing import recorded, run_in_virtual_time
from penstock_pooling import lifespan
from penstock_tasks import TaskManager
from penstock_tasks._tasks.jobs import SWEPT_EVERY

from tests.limits.gauge import Doors, Gauge, settled
from tests.limits.sources import Source
from tests.tasks.tasks.helpers import fail, reported

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


async def test_leaving_the_block_waits_for_its_tasks() -> None:
    """All of them have ended, and each result is where it belongs."""
    gauge = Gauge()

    async with TaskManager() as tasks:
        visits = [tasks.start_soon(gauge.visit) for _ in range(200)]
        values = [tasks.create_task(asyncio.sleep(0, number)) for number in range(200)]

    assert all(each.done() for each in visits)
    assert [each.result() for each in values] == list(range(200))
    assert (gauge.total, tasks.statistics().succeeded, tasks.statistics().running) == (200, 400, 0)


async def test_a_task_that_nobody_holds_is_kept_alive() -> None:
    """Even if what it waits for is held by nobody but itself."""
    ended = []

    async def work(event: asyncio.Event) -> None:
        try:
            await event.wait()
        finally:
            ended.append("ended")

    async with TaskManager(drain_timeout=0) as tasks:
        alive = weakref.ref(tasks.start_soon(work, asyncio.Event()))
        await settled()
        gc.collect()

        assert alive() is not None
        assert not ended

    assert ended == ["ended"]


async def test_a_task_that_has_ended_is_let_go() -> None:
    """At the next sweep; statistics sweep."""
    async with TaskManager() as tasks:
        task = weakref.ref(tasks.create_task(asyncio.sleep(0)))
        await settled()
        tasks.statistics()

        assert task() is None


async def test_a_failure_is_reported_once_with_the_line_that_made_the_task() -> None:
    """By asyncio, as the note says where; the other tasks go on."""
    async with TaskManager("ours") as tasks:
        other = tasks.create_task(asyncio.sleep(0, "other"))
        with reported() as errors, recorded() as events:
            error = ValueError("lost?")
            line = sys._getframe().f_lineno + 1
            tasks.create_task(fail(error), name="unlucky")
            await settled()
            tasks.statistics()
            gc.collect()

    assert errors == [error]
    assert await other == "other"
    [note] = error.__notes__
    assert note.startswith("task 'unlucky' of 'ours' was made at ")
    assert f"{__file__}:{line} in test_a_failure_is_reported" in note
    assert [(each.name, each.details["task"], each.details["error"]) for each in events] == [
        ("task.failed", "unlucky", "ValueError")
    ]


def test_a_failure_is_reported_though_nothing_else_happens() -> None:
    """Within a second, by the loop's time."""

    async def main() -> None:
        async with TaskManager(signals=()) as tasks:
            loop = asyncio.get_running_loop()
            with reported() as errors:
                tasks.start_soon(fail, ValueError())
                await asyncio.sleep(SWEPT_EVERY + 0.1)
                assert len(errors) == 1
            assert loop.time() < 2 * SWEPT_EVERY

    run_in_virtual_time(main)


async def test_an_awaited_failure_is_raised_and_not_reported() -> None:
    """Also after the block, as with a task group's tasks."""
    with reported() as errors:
        async with TaskManager() as tasks:
            first, second = tasks.start_soon(fail, ValueError()), tasks.start_soon(fail, KeyError())
            with pytest.raises(ValueError):
                await first
        with pytest.raises(KeyError):
            await second
        del first, second
        gc.collect()

    assert errors == []


async def test_an_error_of_many_tasks_keeps_one_note() -> None:
    """However many raise it."""
    error = ValueError()
    async with TaskManager() as tasks:
        await asyncio.gather(*(tasks.start_soon(fail, error) for _ in range(10)), return_exceptions=True)

    assert len(error.__notes__) == 1


async def test_on_failure_cancel_ends_everything_and_raises_the_errors() -> None:
    """As in a task group; what is raised is not reported as well."""
    with reported() as errors, pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with TaskManager(on_failure="cancel") as tasks:
            other = tasks.create_task(asyncio.Event().wait())
            tasks.start_soon(fail, ValueError())
            await asyncio.Event().wait()
    gc.collect()

    assert caught.group_contains(ValueError)
    assert other.cancelled()
    assert errors == []
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_on_failure_cancel_while_it_drains() -> None:
    """The rest is cancelled at once."""
    with pytest.raises(ExceptionGroup):  # noqa: PT012
        async with TaskManager(on_failure="cancel", drain_timeout=60) as tasks:
            tasks.create_task(asyncio.Event().wait())
            tasks.start_soon(fail, ValueError())


async def test_an_error_of_the_block_ends_the_tasks_and_goes_on() -> None:
    """Without waiting for them: what fed them is gone."""
    with pytest.raises(ValueError, match="block"):  # noqa: PT012
        async with TaskManager(drain_timeout=60) as tasks:
            task = tasks.create_task(asyncio.Event().wait())
            raise ValueError("block")

    assert task.cancelled()


async def test_jobs_do_not_see_each_others_context() -> None:
    """What one sets is its own."""

    async def work(value: str) -> str:
        before = variable.get()
        variable.set(value)
        await asyncio.sleep(0)
        return before + variable.get()

    async with TaskManager() as tasks:
        variable.set("caller ")
        given = contextvars.copy_context()
        works = [tasks.start_soon(work, "a"), tasks.start_soon(work, "b")]
        in_given = tasks.create_task(work("c"), context=given)

    assert [each.result() for each in (*works, in_given)] == ["caller a", "caller b", "caller c"]
    assert (variable.get(), given[variable]) == ("caller ", "c")


async def test_a_limited_task_waits_in_its_first_step() -> None:
    """Of a name, by the RFC's method, and of any limiter by start_soon."""
    penstock_limits.set_mode_source(Source("enforce"))
    limiter, doors = Limiter("three", max_running=3), Doors()
    async with TaskManager() as tasks:
        named = await tasks.create_limited_task(asyncio.sleep(0, "named"), "api_call")
        for _ in range(10):
            tasks.start_soon(doors.enter, limit=limiter)
        await settled()
        assert len(doors.started) == 3
        doors.open.set()
        with pytest.raises(UnknownLimitError):
            await tasks.create_limited_task(asyncio.sleep(0), "unknown")

    assert await named == "named"
    assert len(doors.started) == 10


async def test_timeout_wrapper_ends_what_is_late_and_counts_it() -> None:
    """And returns what is in time."""
    tasks = TaskManager()

    assert await tasks.timeout_wrapper(asyncio.sleep(0, "in time"), 60) == "in time"
    with pytest.raises(TimeoutError):
        await tasks.timeout_wrapper(asyncio.Event().wait(), 0.01)
    assert tasks.statistics().timed_out == 1


async def test_without_a_block_cleanup_tasks_ends_it() -> None:
    """The RFC's way; a second call returns the same report."""
    tasks = TaskManager()
    task = await tasks.create_limited_task(asyncio.sleep(0), "api_call")

    report = await tasks.cleanup_tasks()

    assert task.done()
    assert await tasks.cleanup_tasks() is report is tasks.report


async def test_after_its_end_it_refuses_work() -> None:
    """The coroutine is closed, and the message says what to do."""
    async with TaskManager("over") as tasks:
        pass

    with pytest.raises(RuntimeError, match="'over' is closed and takes no more work in; make another one"):
        tasks.create_task(asyncio.sleep(0))
    with pytest.raises(RuntimeError, match="closed"):
        tasks.start_soon(asyncio.sleep, 0)
    with pytest.raises(RuntimeError, match="entered twice"):
        await tasks.__aenter__()
    gc.collect()


async def test_while_it_drains_its_own_tasks_may_start_what_they_need() -> None:
    """Nobody else may."""
    inside, refused = asyncio.Event(), []

    async def outer() -> str:
        inside.set()
        while not refused:
            await asyncio.sleep(0)
        return await tasks.create_task(asyncio.sleep(0, "child"))

    async def outsider() -> None:
        await inside.wait()
        while tasks._state == "open":
            await asyncio.sleep(0)
        try:
            tasks.start_soon(asyncio.sleep, 0)
        except RuntimeError as error:
            refused.append(error)

    other = asyncio.create_task(outsider())
    async with TaskManager() as tasks:
        task = tasks.start_soon(outer)
    await other

    assert await task == "child"
    assert len(refused) == 1


async def test_from_another_thread_it_is_refused_with_the_way_that_works() -> None:
    """And nothing is started."""
    async with TaskManager("here") as tasks:
        caught: list[BaseException] = []

        def use() -> None:
            for attempt in (lambda: tasks.create_task(asyncio.sleep(0)), lambda: tasks.start_soon(asyncio.sleep, 0)):
                try:
                    attempt()
                except RuntimeError as error:
                    caught.append(error)

        thread = threading.Thread(target=use, name="stranger")
        thread.start()
        await asyncio.to_thread(thread.join)
        assert tasks.statistics().started == 0
        asyncio.get_running_loop().call_soon_threadsafe(tasks.start_soon, asyncio.sleep, 0)
        await settled()
        assert tasks.statistics().started == 1

    assert len(caught) == 2
    assert all("thread 'stranger'" in str(each) and "run_coroutine_threadsafe" in str(each) for each in caught)


def test_another_loop_and_a_closed_one_are_refused() -> None:
    """One manager for each loop."""
    tasks = TaskManager()

    async def use() -> None:
        tasks.create_task(asyncio.sleep(0))

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="the event loop it belongs to is closed"):
        asyncio.run(use())
    with pytest.raises(RuntimeError, match="without a running event loop"):
        TaskManager().create_task(asyncio.sleep(0))
    gc.collect()


def test_several_loops_have_a_manager_each() -> None:
    """In threads of their own, at the same time."""
    barrier, totals = threading.Barrier(4), []

    async def main() -> None:
        async with TaskManager() as tasks:
            barrier.wait(30)
            for _ in range(100):
                tasks.create_task(asyncio.sleep(0))
        totals.append(tasks.statistics().succeeded)

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)

    assert totals == [100] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_forked_child_is_refused() -> None:
    """Its parent's loop does not run there; with a loop of its own it may make one."""
    async with TaskManager() as tasks:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                tasks.create_task(asyncio.sleep(0))
            except RuntimeError as error:
                os.write(writer, str(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
        told = os.read(reader, 1000).decode()
        os.close(reader)
        os.close(writer)
        task = tasks.create_task(asyncio.sleep(0, "goes on"))

    assert "a process that was forked" in told
    assert task.result() == "goes on"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager task factories came with 3.12")
async def test_an_eager_task_factory_is_respected() -> None:
    """The first step is taken at once; ended, failed and parent are as ever."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)

    async def child() -> None:
        await asyncio.sleep(0)

    async def parent() -> str:
        tasks.create_task(child(), name="child")
        assert any(each.name == "child" and each.parent is not None for each in tasks.tree())
        return "at once"

    async def failing() -> None:
        raise ValueError

    try:
        with reported() as errors:
            async with TaskManager() as tasks:
                task = tasks.create_task(parent(), name="parent")
                assert task.done()
                tasks.create_task(failing())
                async with tasks.scope("eager") as scope:
                    assert scope.start_soon(parent).done()
            gc.collect()  # asyncio keeps an eager task that fails at once in a cycle
    finally:
        loop.set_task_factory(None)

    assert task.result() == "at once"
    assert len(errors) == 1
    assert tasks.statistics().failed == 1


async def test_a_function_that_is_none_is_refused() -> None:
    """Before anything is started."""
    async with TaskManager() as tasks:
        with pytest.raises(TypeError, match="start_soon\\(\\) calls an async function"):
            tasks.start_soon(lambda: 42)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "wrong",
    [{"drain_timeout": -1}, {"cancel_timeout": True}, {"on_failure": "explode"}, {"mode": "on"}],
)
def test_a_wrong_value_is_named(wrong: dict) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=f"task manager 'ours': {next(iter(wrong))} = .*allowed"):
        TaskManager("ours", **wrong)


async def test_off_makes_plain_tasks() -> None:
    """Nothing is counted, kept, annotated or ended."""
    error = ValueError()
    async with TaskManager(mode="off") as tasks:
        task = tasks.create_task(asyncio.Event().wait())
        failing = tasks.start_soon(fail, error)
        with pytest.raises(ValueError):
            await failing

    assert not task.done()
    task.cancel()
    assert not hasattr(error, "__notes__")
    assert (tasks.statistics().started, str(tasks.tree())) == (0, "tasks (off): 0 running")


async def test_observe_counts_and_ends_nothing() -> None:
    """And says how much enforcing would have ended."""
    error = ValueError()
    with recorded() as events:
        async with TaskManager(mode="observe") as tasks:
            task = tasks.create_task(asyncio.Event().wait())
            with pytest.raises(ValueError):
                await tasks.start_soon(fail, error)
            assert len(tasks.tree()) == 1

    assert not task.done()
    task.cancel()
    assert not hasattr(error, "__notes__")
    assert (tasks.statistics().failed, tasks.statistics().mode) == (1, Mode.OBSERVE)
    assert [each.name for each in events] == ["task.failed", "tasks.would_shut_down"]


async def test_without_a_mode_it_follows_the_capability() -> None:
    """Read once, when it is first used."""
    penstock_limits.set_mode_source(Source("enforce", "managed-threads"))
    tasks = TaskManager(mode=None)
    assert tasks.mode is Mode.ENFORCE
    async with tasks:
        penstock_limits.set_mode_source(None)
        task = tasks.create_task(asyncio.sleep(0))

    assert task.done()
    assert tasks.mode is Mode.ENFORCE


async def test_it_is_a_resource_as_long_as_it_is_open() -> None:
    """Monitoring finds it by kind and name."""
    async with TaskManager("resource") as tasks:
        assert [each.statistics().mode for each in resources() if (each.kind, each.name) == ("tasks", "resource")]
        assert repr(tasks) == "<TaskManager 'resource' enforce open: 0 running>"

    assert not [each for each in resources() if each.name == "resource"]


async def test_lifespan_opens_and_closes_it() -> None:
    """As one of the resources of a program."""
    async with lifespan({"tasks": lambda: TaskManager("jobs")}) as opened:
        task = opened["tasks"].start_soon(asyncio.sleep, 0, "done")

    assert task.result() == "done"
    assert opened["tasks"].report is not None


async def test_a_cancelled_lifespan_lets_the_work_in_flight_end() -> None:
    """It is how a signal shuts a program down: the manager's own task is not cancelled."""
    go = asyncio.Event()

    async def main() -> None:
        async with lifespan({"tasks": TaskManager}) as opened:
            found.append(opened["tasks"].start_soon(go.wait))
            await asyncio.Event().wait()

    found: list[asyncio.Task] = []
    program = asyncio.create_task(main())
    await settled()
    program.cancel()
    await settled()
    assert not found[0].done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await program

    assert found[0].result() is True


async def test_a_task_factory_is_handed_what_was_given_and_no_more() -> None:
    """One that knows of no names, as some do, works."""
    loop, seen = asyncio.get_running_loop(), []

    def factory(loop: asyncio.AbstractEventLoop, coro, **kwargs) -> asyncio.Task:
        seen.append(set(kwargs))
        return asyncio.Task(coro, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    try:
        tasks = TaskManager()
        tasks.create_task(asyncio.sleep(0))
        async with tasks.scope("some") as scope:
            scope.create_task(asyncio.sleep(0))
        await tasks.cleanup_tasks()
    finally:
        loop.set_task_factory(None)

    assert seen[:2] == [set(), set()]


async def test_a_timeout_of_the_awaited_itself_is_not_counted() -> None:
    """Its time was not over: it has raised a TimeoutError of its own."""
    tasks = TaskManager()
    with pytest.raises(TimeoutError):
        await tasks.timeout_wrapper(fail(TimeoutError()), 3600)
    assert tasks.statistics().timed_out == 0


def test_statistics_can_be_read_when_the_loop_is_closed() -> None:
    """Also when the loop's own tasks have ended as it ended."""
    kept: list[TaskManager] = []

    async def main() -> None:
        tasks = TaskManager("left", signals=())
        kept.append(await tasks.__aenter__())
        tasks.start_soon(asyncio.sleep, 100)
        await asyncio.sleep(0)

    asyncio.run(main())
    kept[0]._jobs._timer = None  # as when nothing was swept for a while

    assert kept[0].statistics().running == 0
