"""Random storms on one limiter: callers of every weight and priority, gathers, maps, cancellations, resizes, flips.

Each storm is one seed; every other seed flips the mode, too. What must hold whenever nothing moves is in
`Storm.check`; that the storms are worth their time is shown by limiters broken on purpose, each of which they catch.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from penstock_limits import (
    AcquireTimeoutError,
    Limiter,
    LimiterStatistics,
    LimitReachedError,
    Mode,
    bounded_map,
    create_task,
    gather,
    set_mode_source,
)

from tests.limits.gauge import Gauge, settled
from tests.limits.sources import Source

MODES = ["off", "observe", "enforce", "enforce"]


class Storm:
    """One limiter, one loop, and everything that can happen to them."""

    def __init__(self, seed: int, make: Callable[..., Limiter]) -> None:
        self.random = random.Random(seed)
        self.source = Source("enforce")
        set_mode_source(self.source)
        self.flips = bool(seed % 2)
        self.limiter = make(
            "fuzzed",
            max_running=self.random.randint(1, 4),
            max_queued=self.random.choice([None, None, 6]),
            shed=self.random.choice(["newest", "oldest", "lowest-priority"]),
            mode=None,
        )
        self.arrivals = itertools.count()
        self.passed_by: set[int] = set()
        self.queued: dict[int, int] = {}  # arrival and priority of every caller that has not been let in
        self.gauge = Gauge()
        self.leaving: list[asyncio.Event] = []
        self.tasks: list[asyncio.Future[Any]] = []
        self.by_hand = 0  # permits that are held, beside the one of each who is inside
        self.taken = 0  # those of them that nobody is inside for
        self.running_before = 0

    # --- what comes

    async def stay(self, item: object = None) -> None:
        with self.gauge.inside():
            event = asyncio.Event()
            self.leaving.append(event)
            try:
                await event.wait()
            finally:
                with contextlib.suppress(ValueError):
                    self.leaving.remove(event)

    async def plain(self) -> None:
        async with self.limiter:
            await self.stay()

    async def asking(self) -> None:
        """A caller with wishes: several permits, a priority, a deadline."""
        arrival, priority, weight = next(self.arrivals), self.random.choice([0, 0, 1, 2]), self.random.randint(1, 5)
        timeout = self.random.choice([None, None, 0.0])
        self.queued[arrival] = priority
        try:
            hold = await self.limiter.hold(weight=weight, priority=priority, timeout=timeout)
        finally:
            del self.queued[arrival]
        # One that is refused may not have been told yet: only who is let in later has been overtaken.
        self.passed_by |= {earlier for earlier, other in self.queued.items() if earlier < arrival and other == priority}
        try:
            self.by_hand += weight - 1
            assert self.flips or arrival not in self.passed_by, "another of the same priority that came later was first"
            await self.stay()
        finally:
            self.by_hand -= weight - 1
            hold.close()

    async def inside_again(self) -> None:
        async with self.limiter.reentrant(), self.limiter.reentrant():
            await self.stay()

    async def branch(self) -> None:
        """Admitted, and fans out on the same limiter; its permit is lent, so only the leaves count."""
        await gather(*(self.stay() for _ in range(self.random.randint(1, 3))), limit=self.limiter)

    async def consume(self, isolate: bool) -> None:
        items = range(self.random.randint(0, 6))
        async with bounded_map(self.stay, items, limit=self.limiter, isolate=isolate, ordered=isolate) as results:
            async for _ in results:
                if self.random.random() < 0.1:
                    break

    def come(self) -> None:
        kind = self.random.choice(
            [
                *(self.plain, self.asking, self.asking, self.asking, self.inside_again),
                *(self.leaves, self.branches, self.tasks_map, self.workers_map),
            ]
        )
        self.tasks.append(asyncio.ensure_future(kind()))

    def leaves(self) -> Awaitable[Any]:
        return gather(*(self.stay() for _ in range(self.random.randint(0, 6))), limit=self.limiter)

    def task(self) -> Awaitable[Any]:
        return create_task(self.random.choice([self.stay, self.branch])(), limit=self.limiter)

    def branches(self) -> Awaitable[Any]:
        return gather(*(self.branch() for _ in range(self.random.randint(1, 4))), limit=self.limiter)

    def tasks_map(self) -> Awaitable[Any]:
        return self.consume(isolate=True)

    def workers_map(self) -> Awaitable[Any]:
        return self.consume(isolate=False)

    def nowait(self) -> None:
        with contextlib.suppress(LimitReachedError):
            self.limiter.acquire_nowait()
            self.by_hand += 1
            self.taken += 1

    # --- what goes

    def leave(self) -> None:
        if self.taken and self.random.random() < 0.5:
            self.give_one_back()
        elif self.leaving:
            self.random.choice(self.leaving).set()

    def give_one_back(self) -> None:
        self.by_hand -= 1
        self.taken -= 1
        self.limiter.release()

    def cancel(self) -> None:
        if self.tasks:
            self.random.choice(self.tasks).cancel()

    def resize(self) -> None:
        self.limiter.resize(self.random.randint(0, 5))
        self.running_before = self.limiter.statistics().running

    def flip(self) -> None:
        self.source.turn(self.random.choice(MODES))
        self.running_before = self.limiter.statistics().running

    # --- the storm

    async def run(self, steps: int) -> None:
        actions = [self.come] * 5 + [self.leave] * 6 + [self.nowait, self.cancel, self.resize]
        actions += [self.flip] if self.flips else [self.leave]
        for _ in range(steps):
            self.random.choice(actions)()
            for _ in range(self.random.randint(0, 3)):
                await asyncio.sleep(0)
            if self.random.random() < 0.2:
                await settled()
                self.check()
        await self.end()

    def check(self) -> None:
        """What must hold whenever nothing moves."""
        now = self.limiter.statistics()
        assert now.running >= self.gauge.now + self.by_hand, "somebody runs uncounted"
        if now.mode is Mode.ENFORCE:
            assert now.running <= max(now.max_running, self.running_before, self.alone()), "let in beyond the limit"
            assert not self.waits_in_vain(now), "somebody waits though there is room"
        else:
            assert not now.queued, "somebody waits though nothing is enforced"
        self.running_before = now.running

    def alone(self) -> int:
        """A caller that asks for more than the limit may run, alone."""
        return 5 if self.gauge.now == 1 and not self.taken else 0

    def waits_in_vain(self, now: LimiterStatistics) -> bool:
        first = self.limiter._waiters.first()
        if first is None or not now.max_running:
            return False
        return not now.running or now.running + first.weight <= now.max_running

    async def end(self) -> None:
        self.limiter.resize(max(1, self.limiter.max_running))
        while self.taken:
            self.give_one_back()
        while True:
            await settled()
            if not self.leaving:
                break
            for event in tuple(self.leaving):
                event.set()
        unfinished = [task for task in self.tasks if not task.done()]
        assert not unfinished, f"{len(unfinished)} callers were never let in"
        for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(outcome, AssertionError):
                raise outcome
        now = self.limiter.statistics()
        assert (now.running, now.queued, now.surplus_releases) == (0, 0, 0), now


def storm(seed: int, make: Callable[..., Limiter] = Limiter, steps: int = 120) -> None:
    asyncio.run(Storm(seed, make).run(steps))


@pytest.mark.parametrize("tens", range(50))
def test_no_storm_loses_a_permit_or_lets_in_too_many(tens: int) -> None:
    """Ten seeds each: nothing waits while there is room, nothing runs uncounted, all permits come back."""
    for seed in range(10 * tens, 10 * tens + 10):
        storm(seed)


@pytest.mark.slow
@pytest.mark.parametrize("hundreds", range(2, 52))
def test_no_longer_storm_loses_a_permit_or_lets_in_too_many(hundreds: int) -> None:
    """A hundred seeds each."""
    for seed in range(100 * hundreds, 100 * hundreds + 100):
        storm(seed, steps=300)


# --- limiters broken on purpose


class LosesCancelledPermits(Limiter):
    """Forgets that a waiter which is cancelled after it was let in must hand its permit on."""

    def _withdraw(self, waiter: Any, error: BaseException) -> None:
        self._leave(waiter)


class SleepsThroughFlips(Limiter):
    """Does not wake its waiters when the mode changes."""

    def mode_changed(self) -> None:
        pass


class ForgetsToSettleAfterResize(Limiter):
    """Changes its limit, but lets nobody in."""

    def resize(self, max_running: int, **_: Any) -> None:
        self._capacity = max_running + self._surplus
        self._recount()


class LetsInOneTooMany(Limiter):
    """An off-by-one in the way in."""

    def _take(self) -> bool:
        if not self._waiters and self._tokens == self._capacity and self._tokens:
            self._mint()
            return True
        return super()._take()


class DoesNotHandOn(Limiter):
    """Takes a permit back and lets the queue sleep."""

    def _give_back(self) -> Any:
        if self._held and self._waiters and self._tokens <= self._capacity:
            self._free.append(self._held.pop() + 1)
            return None
        return super()._give_back()


class ForgetsWhoRunsWhileOff(Limiter):
    """Counts nobody while nothing is enforced, so that a flip lets in too many or drives the count below nothing."""

    def _overdraw(self, mode: Mode, **_: bool) -> bool:
        return mode is not Mode.ENFORCE


class LetsTheLastInFirst(Limiter):
    """Admits whoever came last."""

    def _first(self, *, stays: bool) -> Any:
        waiter = list(self._waiters.by_age())[-1]
        self._remove(waiter)
        self._note_admitted(waiter)
        return waiter


class TakesOnePermitForSeveral(Limiter):
    """Lets a caller in as soon as there is one permit, whatever it asks for."""

    def _pop_weight(self, weight: int) -> bool:
        if not self._pop():
            return False
        self._mint(weight - 1)
        return True


class KeepsWhatWasKeptForTheLast(Limiter):
    """Forgets that permits were kept free when the caller they were kept for goes away."""

    def _withdraw(self, waiter: Any, error: BaseException) -> None:
        if not self._leave(waiter) and not waiter.dropped:
            self.release(waiter.weight)


class ShedsWhoWasLetIn(Limiter):
    """Gives a permit back for a caller that was refused and never had one."""

    def _withdraw(self, waiter: Any, error: BaseException) -> None:
        waiter.dropped = False
        super()._withdraw(waiter, error)


@pytest.mark.parametrize(
    "broken",
    [
        LosesCancelledPermits,
        SleepsThroughFlips,
        ForgetsToSettleAfterResize,
        LetsInOneTooMany,
        DoesNotHandOn,
        ForgetsWhoRunsWhileOff,
        LetsTheLastInFirst,
        TakesOnePermitForSeveral,
        KeepsWhatWasKeptForTheLast,
        ShedsWhoWasLetIn,
    ],
)
def test_the_storms_catch_a_limiter_that_is_broken(broken: type[Limiter]) -> None:
    """Within the seeds of the fast test at least one storm fails."""
    for seed in range(200):
        try:
            storm(seed, broken)
        except AssertionError:
            return
    pytest.fail(f"no storm noticed that {broken.__name__} {broken.__doc__}")


# --- several loops


class StormOfThreads:
    """Callers in several loops, and in a thread without one; the mode and the limit change from yet another."""

    def __init__(self, seed: int, callers: int) -> None:
        self.seed = seed
        self.callers = callers
        self.source, self.gauge = Source("enforce"), Gauge()
        set_mode_source(self.source)
        self.limiter = Limiter("shared", max_running=2, mode=None)
        self.failures: list[BaseException] = []

    def sync_callers(self, chance: random.Random) -> None:
        for _ in range(self.callers):
            timeout = chance.choice([None, 0.001])
            hold = self.limiter.hold(weight=chance.randint(1, 2), priority=chance.randint(0, 1), timeout=timeout)
            with contextlib.suppress(AcquireTimeoutError), hold, self.gauge.inside():
                pass

    async def caller(self, chance: random.Random) -> None:
        if chance.random() < 0.5:
            async with self.limiter:
                await self.gauge.visit(chance.randint(0, 3))
        else:
            visits = (self.gauge.visit(chance.randint(0, 2)) for _ in range(chance.randint(1, 5)))
            await gather(*visits, limit=self.limiter)

    async def callers_of_a_loop(self, chance: random.Random) -> None:
        tasks = [asyncio.create_task(self.caller(chance)) for _ in range(self.callers)]
        for task in chance.sample(tasks, self.callers // 6):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        await settled()

    def thread(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        try:
            if number:
                asyncio.run(self.callers_of_a_loop(chance))
            else:
                self.sync_callers(chance)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.failures.append(error)

    def run(self, threads: int) -> None:
        workers = [threading.Thread(target=self.thread, args=(number,), daemon=True) for number in range(threads)]
        for worker in workers:
            worker.start()
        chance = random.Random(self.seed)
        while any(worker.is_alive() for worker in workers):
            self.source.turn(chance.choice(MODES))
            self.limiter.resize(chance.randint(1, 4))
            workers[0].join(0.001)
        assert not self.failures
        now = self.limiter.statistics()
        assert (now.running, now.queued, now.surplus_releases, self.gauge.now) == (0, 0, 0, 0), now


@pytest.mark.parametrize("seed", range(5))
def test_no_storm_over_several_loops_loses_a_permit(seed: int) -> None:
    """Three loops, a thread without one, flips and resizes: everybody gets in, and every permit comes back."""
    StormOfThreads(seed, callers=60).run(threads=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 155))
def test_no_longer_storm_over_several_loops_loses_a_permit(seed: int) -> None:
    """Five loops, more callers."""
    StormOfThreads(seed, callers=150).run(threads=6)
