"""The drop-in for asyncio.create_task, in every mode."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from unittest import mock

import penstock_limits
import pytest
from penstock_limits import resources
from penstock_limits.testing import recorded
from penstock_tasks import TaskManager, create_task

from tests.limits.gauge import settled
from tests.limits.sources import Source
from tests.tasks.tasks.helpers import fail, reported


def switch(mode: str) -> None:
    penstock_limits.set_mode_source(Source(mode, "managed-threads"))


async def test_off_calls_asyncio_create_task_with_what_was_given() -> None:
    """As it is at the time, and with no keyword more."""
    coroutine, context = asyncio.sleep(0), contextvars.copy_context()
    with mock.patch("asyncio.create_task", return_value=mock.MagicMock()) as theirs:
        create_task(coroutine)
        create_task(coroutine, name="named", context=context)

    assert theirs.call_args_list == [mock.call(coroutine), mock.call(coroutine, name="named", context=context)]
    coroutine.close()


@pytest.mark.parametrize("mode", ["off", "observe", "enforce"])
async def test_it_is_a_task_like_any_other(mode: str) -> None:
    """Its name, context, result and error are what asyncio's are."""
    switch(mode)
    error = ValueError()

    assert await create_task(asyncio.sleep(0, "result")) == "result"
    assert create_task(asyncio.sleep(0), name="named").get_name() == "named"
    with pytest.raises(ValueError):
        await create_task(fail(error))
    with pytest.raises(TypeError, match="a coroutine was expected"):
        create_task(42)  # type: ignore[arg-type]
    assert hasattr(error, "__notes__") is (mode == "enforce")


async def test_enforcing_an_open_manager_owns_it() -> None:
    """It is in its tree, and ends with it."""
    switch("enforce")
    async with TaskManager("mine", drain_timeout=0) as tasks:
        task = create_task(asyncio.Event().wait(), name="adopted")
        await settled()
        assert [node.name for node in tasks.tree()] == ["adopted"]

    assert task.cancelled()


async def test_enforcing_without_a_manager_the_loop_keeps_it() -> None:
    """Alive until it has ended; its failure is reported with the line, at once."""
    switch("enforce")
    error = ValueError()
    alive = weakref.ref(create_task(_wait_for_nobody()))
    await settled()
    gc.collect()
    assert alive() is not None
    with reported() as errors:
        line = sys._getframe().f_lineno + 1
        create_task(fail(error))
        await settled()

    assert errors == [error]
    assert f"{__file__}:{line} in" in error.__notes__[0]
    [keeper] = [
        each for each in resources() if (each.kind, each.name) == ("tasks", "loop") and each.statistics().running
    ]
    assert keeper.statistics().running == 1
    alive().cancel()


async def _wait_for_nobody() -> None:
    await asyncio.Event().wait()


async def test_observing_it_is_counted_and_not_kept() -> None:
    """As with asyncio, nobody but its holder keeps it."""
    switch("observe")
    with recorded() as events:
        task = create_task(fail(ValueError()))
        with pytest.raises(ValueError):
            await task
    assert [each.name for each in events] == ["task.failed"]


def test_a_closed_loop_is_forgotten() -> None:
    """When the next one makes its first task."""
    switch("enforce")

    async def main() -> weakref.ref:
        create_task(asyncio.sleep(0))
        await settled()
        return weakref.ref(asyncio.get_running_loop())

    first = asyncio.run(main())
    asyncio.run(main())
    gc.collect()

    assert first() is None


def test_without_a_loop_it_fails_as_asyncio_does() -> None:
    """In every mode."""
    for mode in ("off", "enforce"):
        switch(mode)
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="no running event loop"):
            create_task(coroutine)
        coroutine.close()
