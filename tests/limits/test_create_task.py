"""How `create_task` lets its coroutine in."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from unittest import mock

import pytest
from penstock_limits import (
    ConfigurationError,
    Limiter,
    QueueFullError,
    UnknownLimitError,
    create_task,
    gather,
    set_mode_source,
)

from tests.limits.gauge import Doors, Gauge, settled
from tests.limits.sources import Source

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


async def test_no_more_run_than_the_limit_and_all_do_in_order() -> None:
    """Fifty tasks are there at once; three of them run."""
    limiter, gauge, order = Limiter(max_running=3), Gauge(), []

    async def work(item: int) -> int:
        order.append(item)
        await gauge.visit()
        return item

    tasks = [create_task(work(item), limit=limiter) for item in range(50)]

    assert await asyncio.gather(*tasks) == order == list(range(50))
    assert (gauge.peak, limiter.statistics().running) == (3, 0)


async def test_it_is_a_task_like_any_other() -> None:
    """With the name it was given; inside, it is the current task."""
    limiter = Limiter(max_running=1)

    async def work() -> asyncio.Task | None:
        return asyncio.current_task()

    task = create_task(work(), limit=limiter, name="named")

    assert (task.get_name(), await task) == ("named", task)


@pytest.mark.parametrize("turns", range(5))
async def test_a_task_cancelled_before_it_was_admitted_closes_its_coroutine(turns: int) -> None:
    """Whenever the cancellation comes: no warning, no permit lost, the next comes in."""
    limiter, first, second = Limiter(max_running=1), Doors(), Doors()
    running = create_task(first.enter(), limit=limiter)
    task = create_task(second.enter(1), limit=limiter)
    last = create_task(second.enter(2), limit=limiter)
    for _ in range(turns):
        await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])
    first.open.set()
    second.open.set()

    assert await running is None
    assert await last == 2
    gc.collect()
    assert task.cancelled()
    assert (limiter.statistics().running, limiter.statistics().queued) == (0, 0)


async def test_a_cancellation_that_meets_the_admission_loses_no_permit() -> None:
    """Both in one turn of the loop."""
    limiter, doors = Limiter(max_running=1), Doors()
    limiter.acquire_nowait()
    task = create_task(doors.enter(), limit=limiter)
    await settled()

    limiter.release()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await settled()

    assert (doors.started, limiter.statistics().running) == ([], 0)


async def test_nested_tasks_on_one_limiter_never_deadlock() -> None:
    """A task lends its permit to what it makes and gathers under the same limiter; orphans queue."""
    limiter, leaves = Limiter(max_running=2), Gauge()

    async def branch(depth: int) -> None:
        if depth == 0:
            await leaves.visit()
            return
        tasks = [create_task(branch(depth - 1), limit=limiter) for _ in range(3)]
        await asyncio.wait(tasks)
        await gather(*(branch(depth - 1) for _ in range(2)), limit=limiter)

    await asyncio.wait_for(branch(3), 60)

    assert leaves.total == 5**3
    assert leaves.peak <= 2
    await settled()
    assert limiter.statistics().running == 0


async def test_a_full_queue_fails_the_task() -> None:
    """The coroutine is closed, and nothing was 'never awaited'."""
    limiter, doors = Limiter(max_running=1, max_queued=0), Doors()
    running = create_task(doors.enter(), limit=limiter)
    await settled()

    refused = create_task(doors.enter("refused"), limit=limiter)

    with pytest.raises(QueueFullError):
        await refused
    gc.collect()
    doors.open.set()
    await running


async def test_off_calls_asyncio_create_task_with_what_was_given() -> None:
    """As it is at the time, and with no keyword more."""
    coroutine = asyncio.sleep(0)
    with mock.patch("asyncio.create_task", return_value=mock.MagicMock()) as theirs:
        for limit in (None, "api_call", "unknown"):
            create_task(coroutine, limit=limit)
        create_task(coroutine, limit="api_call", name="named")

    assert theirs.call_args_list == [mock.call(coroutine)] * 3 + [mock.call(coroutine, name="named")]
    coroutine.close()


async def test_off_counts_and_a_flip_admits_nobody_until_there_is_room() -> None:
    """And what was started while off lends its permit afterwards."""
    source = Source("off")
    set_mode_source(source)
    limiter, go, leaves = Limiter(max_running=2, mode=None), asyncio.Event(), Gauge()

    async def work() -> None:
        await go.wait()
        await gather(*(leaves.visit() for _ in range(3)), limit=limiter)

    tasks = [create_task(work(), limit=limiter) for _ in range(4)]
    await settled()
    assert limiter.statistics().running == 4

    source.turn("enforce")
    go.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)

    assert leaves.total == 12
    assert limiter.statistics().running == 0


async def test_a_context_given_is_the_one_it_runs_in() -> None:
    """In every mode, itself and not a copy."""
    for mode in ("off", "observe", "enforce"):
        context = contextvars.copy_context()

        async def work() -> None:
            variable.set("set by the work")

        await create_task(work(), limit=Limiter(max_running=1, mode=mode), context=context)

        assert context[variable] == "set by the work"
        assert variable.get() == ""


async def test_a_wrong_limit_is_refused_and_the_coroutine_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number would limit this one task; a name must be known where it is enforced."""
    with pytest.raises(ConfigurationError, match="limit = 3 would limit this one task"):
        create_task(asyncio.sleep(0), limit=3)  # type: ignore[arg-type]

    monkeypatch.setenv("PENSTOCK_MODE", "enforce")
    with pytest.raises(UnknownLimitError, match="no limit named 'unknown'"):
        create_task(asyncio.sleep(0), limit="unknown")
    gc.collect()


def test_without_a_loop_it_fails_as_asyncio_does() -> None:
    """And leaves nothing of its own un-awaited."""
    coroutine = asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="no running event loop"):
        create_task(coroutine, limit=Limiter(max_running=1))

    coroutine.close()
    gc.collect()


async def test_what_is_no_coroutine_is_refused_as_asyncio_does() -> None:
    """In every mode."""
    with pytest.raises(TypeError, match="a coroutine was expected"):
        create_task(42, limit=Limiter(max_running=1))  # type: ignore[arg-type]
