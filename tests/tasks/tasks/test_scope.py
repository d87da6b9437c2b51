"""Named scopes: a task group with an owner, and with a bound on those that do not stop."""

from __future__ import annotations

import asyncio

import pytest
from penstock_limits.testing import run_in_virtual_time
from penstock_tasks import TaskManager

from tests.limits.gauge import settled
from tests.tasks.tasks.helpers import fail, reported, stubborn


async def test_a_failure_cancels_the_siblings_and_is_raised() -> None:
    """The manager, and its other tasks, go on; nothing is reported as well."""
    async with TaskManager() as tasks:
        other = tasks.create_task(asyncio.sleep(0, "other"))
        with reported() as errors, pytest.raises(ExceptionGroup, match="tasks of scope 'ingest' have failed") as caught:  # noqa: PT012
            async with tasks.scope("ingest") as scope:
                sibling = scope.create_task(asyncio.Event().wait())
                scope.start_soon(fail, ValueError())
        tasks.statistics()

    assert sibling.cancelled()
    assert caught.group_contains(ValueError)
    assert errors == []
    assert await other == "other"


async def test_a_failure_in_a_scope_is_the_scopes_even_if_failures_cancel_all() -> None:
    """It is raised where the scope is, and who catches it has dealt with it."""
    async with TaskManager(on_failure="cancel") as tasks:
        with pytest.raises(ExceptionGroup):
            async with tasks.scope("ingest") as scope:
                scope.start_soon(fail, ValueError())


async def test_scopes_nest() -> None:
    """A failure within goes out through both."""
    async with TaskManager() as tasks:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
            async with tasks.scope("outer") as outer, outer.scope("inner") as inner:
                sibling = outer.create_task(asyncio.Event().wait())
                inner.start_soon(fail, ValueError())

    assert sibling.cancelled()
    assert caught.group_contains(ValueError, depth=2)


async def test_cancel_ends_the_tasks_and_the_block_goes_on() -> None:
    """As if they had ended."""
    async with TaskManager() as tasks, tasks.scope("some") as scope:
        task = scope.create_task(asyncio.Event().wait())
        scope.cancel()

    assert task.cancelled()


def test_a_stubborn_task_is_left_behind_by_its_scope() -> None:
    """Within the scope's own time; the manager in whose task the scope is has not lost patience before."""

    async def main() -> None:
        async def host() -> None:
            async with tasks.scope("host") as scope:
                scope.start_soon(stubborn, asyncio.Event(), name="stubborn")

        async with TaskManager(drain_timeout=0, cancel_timeout=4) as tasks:
            loop = asyncio.get_running_loop()
            before = loop.time()
            with pytest.raises(ExceptionGroup):  # noqa: PT012
                async with tasks.scope("short", cancel_timeout=1) as scope:
                    scope.start_soon(stubborn, asyncio.Event())
                    scope.start_soon(fail, ValueError())
            assert loop.time() == before + 1
            tasks.start_soon(host, name="host")
            await settled()
        assert tasks.report is not None
        assert [(end.name, end.outcome) for end in tasks.report.ends] == [
            *(("stubborn", "left behind"), ("host", "cancelled"))
        ]
        assert tasks.statistics().left_behind == 2

    run_in_virtual_time(main)


async def test_a_scope_whose_block_has_gone_reports_what_fails() -> None:
    """Nobody is there to raise it to."""
    with reported() as errors:
        async with TaskManager() as tasks:

            async def abandon() -> None:
                scope = tasks.scope("abandoned")
                await scope.__aenter__()
                scope.start_soon(fail, ValueError())

            await tasks.start_soon(abandon)
            await settled()

    assert len(errors) == 1


async def test_it_says_what_state_it_is_in() -> None:
    """And refuses what does not fit."""
    tasks = TaskManager()
    scope = tasks.scope("said")
    assert repr(scope) == "<TaskScope 'said' new: 0 running, 0 failed>"
    with pytest.raises(RuntimeError, match="scope 'said' has not been entered"):
        scope.start_soon(asyncio.sleep, 0)
    async with scope:
        scope.start_soon(asyncio.sleep, 0)
        assert repr(scope) == "<TaskScope 'said' open: 1 running, 0 failed>"
    with pytest.raises(RuntimeError, match="scope 'said' is finished"):
        scope.create_task(asyncio.sleep(0))
    await tasks.cleanup_tasks()


async def test_who_starts_after_a_cancel_has_a_deadline_too() -> None:
    """The deadline of an earlier `cancel()` is not theirs."""
    end = asyncio.Event()
    tasks = TaskManager()

    async def block() -> None:
        async with tasks.scope("twice", cancel_timeout=0.01) as scope:
            scope.start_soon(asyncio.sleep, 3600)
            await settled()
            scope.cancel()
            await settled()
            scope.start_soon(stubborn, end)
            await settled()
            raise ValueError

    with pytest.raises(ExceptionGroup):
        await block()
    assert tasks.statistics().left_behind == 1
    end.set()


async def test_a_nested_scope_may_give_no_time_at_all() -> None:
    """0 seconds are 0 seconds, and not the default."""
    tasks = TaskManager()
    assert tasks.scope("outer").scope("inner", cancel_timeout=0)._cancel_timeout == 0
