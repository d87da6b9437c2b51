"""Nested fan-outs on one limiter never deadlock, and never exceed it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from penstock_limits import Limiter, QueueFullError, bounded_map, gather

from tests.limits.gauge import Doors, Gauge, settled

Child = Callable[[], Coroutine[Any, Any, Any]]
Fan = Callable[[Limiter, list[Child]], Awaitable[Any]]


# --- the ways in which people fan out


def start(limiter: Limiter, children: list[Child]) -> asyncio.Future[list[Any]]:
    return gather(*(child() for child in children), limit=limiter)


async def by_await(limiter: Limiter, children: list[Child]) -> None:
    await start(limiter, children)


async def by_wait_for(limiter: Limiter, children: list[Child]) -> None:
    await asyncio.wait_for(start(limiter, children), 60)


async def by_shield(limiter: Limiter, children: list[Child]) -> None:
    await asyncio.shield(start(limiter, children))


async def by_stored_future(limiter: Limiter, children: list[Child]) -> None:
    stored = start(limiter, children)
    await asyncio.sleep(0)
    await stored


async def by_task_group(limiter: Limiter, children: list[Child]) -> None:
    async with asyncio.TaskGroup() as group:
        for child in children:
            group.create_task(by_await(limiter, [child]))


async def by_two_gathers(limiter: Limiter, children: list[Child]) -> None:
    first, second = start(limiter, children[:2]), start(limiter, children[2:])
    await second
    await first


async def by_helpers_in_a_stock_gather(limiter: Limiter, children: list[Child]) -> None:
    await asyncio.gather(by_await(limiter, children[:2]), by_await(limiter, children[2:]))


async def by_bounded_map(limiter: Limiter, children: list[Child]) -> None:
    async for _ in bounded_map(lambda child: child(), children, limit=limiter):
        pass


async def by_worker_pool(limiter: Limiter, children: list[Child]) -> None:
    async for _ in bounded_map(lambda child: child(), children, limit=limiter, isolate=False, ordered=False):
        pass


FANS = [
    by_await,
    by_wait_for,
    by_shield,
    by_stored_future,
    by_task_group,
    by_two_gathers,
    by_helpers_in_a_stock_gather,
    by_bounded_map,
    by_worker_pool,
]


async def tree(limiter: Limiter, fan: Fan, depth: int, leaves: Gauge) -> None:
    """Fan out five ways at every level; the leaves are what the limit is for."""
    if depth == 0:
        await leaves.visit(turns=1)
        return
    await fan(limiter, [partial(tree, limiter, fan, depth - 1, leaves)] * 5)


@pytest.mark.parametrize("max_running", [1, 3])
@pytest.mark.parametrize("fan", FANS)
async def test_a_deep_recursion_ends_within_the_limit(fan: Fan, max_running: int) -> None:
    """Depth 4, fan-out 5, by every way of waiting: all leaves run, never more at once than the limit."""
    limiter, leaves = Limiter(max_running=max_running), Gauge()

    await asyncio.wait_for(tree(limiter, fan, 4, leaves), 60)

    assert leaves.total == 5**4
    assert leaves.peak <= max_running
    assert limiter.statistics().running == limiter.statistics().queued == 0


@pytest.mark.parametrize("max_running", [1, 3])
async def test_a_recursion_of_depth_six_uses_the_whole_limit(max_running: int) -> None:
    """Of 15,625 leaves exactly as many run at once as may."""
    limiter, leaves = Limiter(max_running=max_running), Gauge()

    await asyncio.wait_for(tree(limiter, by_await, 6, leaves), 60)

    assert (leaves.total, leaves.peak) == (5**6, max_running)


@pytest.mark.slow
@pytest.mark.parametrize("max_running", [1, 3])
@pytest.mark.parametrize("fan", FANS)
async def test_a_recursion_of_depth_six_ends_by_every_way(fan: Fan, max_running: int) -> None:
    """Depth 6, fan-out 5."""
    limiter, leaves = Limiter(max_running=max_running), Gauge()

    await asyncio.wait_for(tree(limiter, fan, 6, leaves), 300)

    assert leaves.total == 5**6
    assert leaves.peak <= max_running
    assert limiter.statistics().running == 0


async def test_a_permit_is_lent_from_the_call_until_the_last_child_ends() -> None:
    """While the parent waits one child runs on its permit; afterwards the permit is the parent's alone."""
    limiter, doors = Limiter(max_running=1), Doors()
    between = asyncio.Event()

    async def parent() -> None:
        await gather(doors.enter(1), doors.enter(2), limit=limiter)
        await between.wait()

    gathered = gather(parent(), limit=limiter)
    await settled()
    assert (doors.gauge.now, limiter.statistics().running) == (1, 1)

    doors.open.set()
    await settled()
    assert (doors.gauge.total, doors.gauge.now, limiter.statistics().running) == (2, 0, 1)

    between.set()
    await gathered
    assert limiter.statistics().running == 0


async def test_several_nested_calls_under_one_permit_queue_for_it() -> None:
    """Two gathers at once inside one admitted coroutine: one leaf at a time, each in its turn."""
    limiter, leaves = Limiter(max_running=1), Gauge()

    async def parent() -> None:
        await asyncio.gather(*(by_await(limiter, [leaves.visit] * 3) for _ in range(4)))

    await gather(parent(), limit=limiter)

    assert (leaves.total, leaves.peak) == (12, 1)


async def test_a_nested_call_is_never_refused() -> None:
    """It is inside already: refusing it would throw away work that was admitted."""
    limiter, leaves = Limiter(max_running=1, max_queued=0), Gauge()

    async def parent() -> None:
        await gather(*(leaves.visit() for _ in range(5)), limit=limiter)

    await gather(parent(), limit=limiter)

    assert leaves.total == 5
    with pytest.raises(QueueFullError):
        await gather(parent(), parent(), limit=limiter)


async def test_an_orphan_that_fans_out_goes_on_after_its_parent() -> None:
    """A task that outlives the coroutine that made it queues like anybody else; nothing is lost."""
    limiter, doors = Limiter(max_running=1), Doors()
    orphans = []

    async def parent() -> None:
        orphans.append(asyncio.create_task(by_await(limiter, [doors.enter] * 3)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    await gather(parent(), limit=limiter)
    await settled()
    assert (doors.gauge.now, limiter.statistics().running) == (1, 1)

    doors.open.set()
    await orphans[0]
    assert (doors.gauge.total, limiter.statistics().running) == (3, 0)


async def test_the_heir_of_a_loan_keeps_others_out() -> None:
    """The lender has ended while its child still runs on the permit: nobody else may come in."""
    limiter, heirs, others = Limiter(max_running=1), Doors(), Doors()
    stored = []

    async def parent() -> None:
        stored.append(gather(heirs.enter(), heirs.enter(), limit=limiter))
        await asyncio.sleep(0)

    await gather(parent(), limit=limiter)
    other = gather(others.enter(), limit=limiter)
    await settled()
    assert (heirs.gauge.now, others.gauge.now) == (1, 0)

    heirs.open.set()
    others.open.set()
    await asyncio.gather(*stored, other)
    assert limiter.statistics().running == 0


@pytest.mark.parametrize("fan", FANS)
async def test_an_exception_half_way_leaves_nothing_behind(fan: Fan) -> None:
    """The failure reaches the top, and every permit comes back once the rest has ended."""
    limiter = Limiter(max_running=2)

    async def branch(depth: int) -> None:
        if depth == 0:
            await asyncio.sleep(0)
            raise LookupError
        await fan(limiter, [partial(branch, depth - 1)] * 3)

    with pytest.raises((LookupError, ExceptionGroup)):
        await asyncio.wait_for(branch(3), 60)

    await settled()
    assert (limiter.statistics().running, limiter.statistics().queued) == (0, 0)


@pytest.mark.parametrize("turns", range(0, 40, 3))
@pytest.mark.parametrize("fan", FANS)
async def test_a_cancellation_half_way_leaves_nothing_behind(fan: Fan, turns: int) -> None:
    """Whenever the cancellation comes, all ends, and every permit comes back."""
    limiter, leaves = Limiter(max_running=2), Gauge()

    async def branch(depth: int) -> None:
        if depth == 0:
            await leaves.visit(turns=3)
            return
        await fan(limiter, [partial(branch, depth - 1)] * 3)

    task = asyncio.create_task(branch(3))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()

    await asyncio.wait([task])
    await settled()
    assert (leaves.now, limiter.statistics().running, limiter.statistics().queued) == (0, 0, 0)


async def test_a_plain_permit_is_never_lent() -> None:
    """`async with limiter` is not re-entrant: a gather inside it waits for a permit of its own."""
    limiter = Limiter(max_running=1)

    async with limiter:
        gathered = gather(asyncio.sleep(0, "late"), limit=limiter)
        await settled()
        assert not gathered.done()

    assert await gathered == ["late"]


async def test_a_permit_is_not_lent_to_another_limiter() -> None:
    """Each limiter counts its own, however they are nested."""
    outer, inner, leaves = Limiter(max_running=2), Limiter(max_running=1), Gauge()

    async def parent() -> None:
        await gather(*(leaves.visit() for _ in range(5)), limit=inner)

    await gather(*(parent() for _ in range(4)), limit=outer)

    assert (leaves.total, leaves.peak) == (20, 1)


async def test_a_lender_is_found_through_another_limiter_in_between() -> None:
    """Outer -> inner -> outer again: the innermost call borrows from the outermost, so it ends."""
    outer, inner, leaves = Limiter(max_running=1), Limiter(max_running=1), Gauge()

    async def middle() -> None:
        await gather(*(leaves.visit() for _ in range(3)), limit=outer)

    async def parent() -> None:
        await gather(middle(), middle(), limit=inner)

    await asyncio.wait_for(gather(parent(), parent(), limit=outer), 10)

    assert (leaves.total, leaves.peak) == (12, 1)


def test_nested_fan_outs_of_two_loops_share_one_limiter() -> None:
    """Two threads with a loop each, one limiter: never more leaves than the limit, in all loops together."""
    limiter, leaves = Limiter(max_running=2), Gauge()
    threads = [
        threading.Thread(target=lambda: asyncio.run(tree(limiter, by_await, 3, leaves)), daemon=True) for _ in range(2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert leaves.total == 2 * 5**3
    assert leaves.peak <= 2
    assert limiter.statistics().running == 0
