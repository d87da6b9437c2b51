"""Callers with wishes: several permits, a priority, a deadline, a full queue that sheds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_limits import AcquireTimeoutError, ConfigurationError, Limiter, QueueFullError
from penstock_limits.testing import ManualClock, recorded, run_in_virtual_time

from tests.limits.gauge import settled


class Callers:
    """Tasks that ask a limiter, and note the order in which they are let in."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.admitted: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def come(self, name: str, *, weight: int = 1, priority: int = 0, timeout: float | None = None) -> None:
        self.tasks[name] = asyncio.create_task(self._stay(name, weight, priority, timeout))

    async def _stay(self, name: str, weight: int, priority: int, timeout: float | None) -> None:
        await self.limiter.acquire(weight=weight, priority=priority, timeout=timeout)
        self.admitted.append(name)


async def test_a_caller_may_ask_for_several_permits() -> None:
    """It is let in when they are all free, and gives them all back."""
    limiter = Limiter(max_running=5)

    async with limiter.hold(weight=3):
        assert limiter.statistics().running == 3

    assert limiter.statistics().running == 0


async def test_a_heavy_caller_holds_back_those_behind_it() -> None:
    """Or light ones would keep it waiting for ever."""
    limiter = Limiter(max_running=3)
    callers = Callers(limiter)
    await limiter.acquire(weight=2)
    callers.come("heavy", weight=2)
    callers.come("light")
    await settled()
    assert callers.admitted == []

    limiter.release()
    await settled()
    assert callers.admitted == ["heavy"]

    limiter.release()
    await settled()
    assert callers.admitted == ["heavy", "light"]


async def test_a_heavy_caller_that_goes_away_makes_room_for_those_behind_it() -> None:
    """What was kept free for it is enough for the next."""
    limiter = Limiter(max_running=3)
    callers = Callers(limiter)
    await limiter.acquire(weight=2)
    callers.come("heavy", weight=3)
    callers.come("light")
    await settled()

    callers.tasks["heavy"].cancel()
    await settled()

    assert callers.admitted == ["light"]


async def test_a_caller_heavier_than_the_limit_runs_alone() -> None:
    """Waiting would never help it."""
    limiter = Limiter(max_running=2)
    callers = Callers(limiter)
    await limiter.acquire()
    callers.come("giant", weight=5)
    callers.come("next")
    await settled()
    assert callers.admitted == []

    limiter.release()
    await settled()
    assert callers.admitted == ["giant"]

    limiter.release(5)
    await settled()
    assert callers.admitted == ["giant", "next"]
    assert limiter.statistics().running == 1


async def test_the_more_urgent_goes_first() -> None:
    """And among equals whoever came first."""
    limiter = Limiter(max_running=1, clock=ManualClock())
    callers = Callers(limiter)
    await limiter.acquire()
    for name, priority in [("a", 0), ("b", 0), ("urgent", 1), ("later urgent", 1), ("most urgent", 2)]:
        callers.come(name, priority=priority)
    await settled()

    for _ in callers.tasks:
        limiter.release()
        await settled()

    assert callers.admitted == ["most urgent", "urgent", "later urgent", "a", "b"]


async def test_waiting_is_worth_priority() -> None:
    """After `priority_aging` seconds for each step, a caller is not overtaken any more."""
    clock = ManualClock()
    limiter = Limiter(max_running=1, priority_aging=10.0, clock=clock)
    callers = Callers(limiter)
    await limiter.acquire()
    callers.come("patient")
    await settled()
    clock.advance(9.0)
    callers.come("in time", priority=1)
    await settled()
    clock.advance(2.0)
    callers.come("too late", priority=1)
    await settled()

    for _ in callers.tasks:
        limiter.release()
        await settled()

    assert callers.admitted == ["in time", "patient", "too late"]


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(0, 30)), max_size=20))
def test_the_order_of_two_callers_is_their_arrival_less_what_their_priority_is_worth(
    arrivals: list[tuple[int, float]],
) -> None:
    """Whatever comes between them: so nobody waits longer than a bounded time for those that come later."""

    async def admitted() -> list[str]:
        clock = ManualClock()
        limiter = Limiter(max_running=1, priority_aging=10.0, clock=clock)
        callers = Callers(limiter)
        await limiter.acquire()
        for number, (priority, pause) in enumerate(arrivals):
            clock.advance(pause)
            callers.come(str(number), priority=priority)
            await settled()
        for _ in callers.tasks:
            limiter.release()
            await settled()
        return callers.admitted

    worth, now = [], 0.0
    for number, (priority, pause) in enumerate(arrivals):
        now += pause
        worth.append((now - 10.0 * priority, -priority, number))

    assert asyncio.run(admitted()) == [str(number) for *_, number in sorted(worth)]


async def test_a_caller_waits_no_longer_than_its_deadline() -> None:
    """It fails with an error that says how long it waited, and leaves the queue."""
    limiter = Limiter("provider", max_running=1)
    await limiter.acquire()

    with pytest.raises(AcquireTimeoutError, match=r"limiter 'provider' admitted a caller not within 0 s"):
        await limiter.acquire(timeout=0)

    now = limiter.statistics()
    assert (now.queued, now.timed_out, now.running) == (0, 1, 1)


def test_a_deadline_of_the_limiter_holds_for_whoever_has_none() -> None:
    """Also for `async with`."""

    async def main() -> float:
        limiter = Limiter(max_running=1, acquire_timeout=5.0)
        async with limiter:
            with pytest.raises(TimeoutError):
                async with limiter:
                    pass
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == pytest.approx(5.0)


async def test_a_permit_that_comes_in_time_is_not_lost_to_the_deadline() -> None:
    """The permit and the deadline may come in the same turn."""
    limiter = Limiter(max_running=1)
    callers = Callers(limiter)
    await limiter.acquire()
    callers.come("in time", timeout=0)
    await asyncio.sleep(0)
    limiter.release()
    await settled()

    assert callers.admitted == ["in time"]
    assert limiter.statistics().running == 1


@pytest.mark.parametrize(
    ("shed", "refused"),
    [("newest", "third"), ("oldest", "first"), ("lowest-priority", "second")],
)
async def test_a_full_queue_sheds_whom_it_is_told_to(shed: str, refused: str) -> None:
    """One is refused with QueueFullError, the others are let in."""
    limiter = Limiter(max_running=1, max_queued=2, shed=shed, clock=ManualClock())
    callers = Callers(limiter)
    await limiter.acquire()
    for name, priority in [("first", 1), ("second", 0), ("third", 1)]:
        callers.come(name, priority=priority)
        await settled()

    assert isinstance(callers.tasks[refused].exception(), QueueFullError)

    limiter.release()
    await settled()
    limiter.release()
    await settled()
    assert set(callers.admitted) == {"first", "second", "third"} - {refused}
    assert limiter.statistics().rejected == 1


async def test_a_caller_no_more_urgent_than_the_queue_is_the_one_that_is_shed() -> None:
    """Among the lowest priority the newest gives way."""
    limiter = Limiter(max_running=1, max_queued=1, shed="lowest-priority")
    callers = Callers(limiter)
    await limiter.acquire()
    callers.come("first")
    callers.come("second")
    await settled()

    assert isinstance(callers.tasks["second"].exception(), QueueFullError)
    assert not callers.tasks["first"].done()


async def test_refusals_are_events() -> None:
    """One for a full queue, one for a deadline."""
    limiter = Limiter("provider", max_running=1, max_queued=1)
    callers = Callers(limiter)
    await limiter.acquire()

    with recorded() as events:
        callers.come("too late", timeout=0)
        callers.come("refused")
        await asyncio.wait(callers.tasks.values())
        for task in callers.tasks.values():
            task.exception()

    assert sorted((event.name, event.resource) for event in events) == [
        ("limiter.rejected", "provider"),
        ("limiter.timed_out", "provider"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Limiter(max_running=1, shed="random"),  # type: ignore[arg-type]
        lambda: Limiter(max_running=1, acquire_timeout=-1),
        lambda: Limiter(max_running=1, priority_aging=float("inf")),
        lambda: Limiter(max_running=1).hold(weight=0),
        lambda: Limiter(max_running=1).hold(weight=1.5),  # type: ignore[arg-type]
        lambda: Limiter(max_running=1).hold(priority=0.5),  # type: ignore[arg-type]
        lambda: Limiter(max_running=1).hold(timeout=float("nan")),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(wrong: Callable[[], object]) -> None:
    """Before anybody waits."""
    with pytest.raises(ConfigurationError, match=r"limiter 'max-1': \w+ = .*; allowed"):
        wrong()


async def test_a_caller_that_gave_way_is_told_before_the_one_it_made_room_for_goes_on() -> None:
    """Also if that one is let in at once."""
    limiter, order = Limiter(max_running=1, max_queued=1, shed="oldest"), []

    async def gives_way() -> None:
        with pytest.raises(QueueFullError):
            await limiter.acquire()
        order.append("refused")

    async def comes(priority: int) -> None:
        await limiter.acquire(priority=priority)
        order.append("let in")

    task = asyncio.create_task(gives_way())
    await limiter.acquire()
    await settled()
    newcomer = asyncio.create_task(comes(1))
    asyncio.get_running_loop().call_soon(limiter.release)
    await asyncio.wait([task, newcomer])

    assert order == ["refused", "let in"]
