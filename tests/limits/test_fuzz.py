"""Random storms on one limiter: callers, gathers, maps, cancellations, resizes and flips of the mode.

Each storm is one seed. What must hold whenever nothing moves is in `Storm.check`; that the storms are worth their
time is shown by limiters broken on purpose, each of which they catch.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from penstock_limits import Limiter, LimitReachedError, Mode, bounded_map, create_task, gather, set_mode_source

from tests.limits.gauge import Gauge, settled
from tests.limits.sources import Source

MODES = ["off", "observe", "enforce", "enforce"]


class Storm:
    """One limiter, one loop, and everything that can happen to them."""

    def __init__(self, seed: int, make: Callable[..., Limiter]) -> None:
        self.random = random.Random(seed)
        self.source = Source("enforce")
        set_mode_source(self.source)
        self.limiter = make("fuzzed", max_running=self.random.randint(1, 4), mode=None)
        self.gauge = Gauge()
        self.leaving: list[asyncio.Event] = []
        self.tasks: list[asyncio.Future[Any]] = []
        self.by_hand = 0
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
            [self.plain, self.plain, self.leaves, self.branches, self.tasks_map, self.workers_map]
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

    # --- what goes

    def leave(self) -> None:
        if self.by_hand and self.random.random() < 0.5:
            self.by_hand -= 1
            self.limiter.release()
        elif self.leaving:
            self.random.choice(self.leaving).set()

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
        actions = [self.come] * 5 + [self.leave] * 6 + [self.nowait, self.cancel, self.resize, self.flip]
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
            assert now.running <= max(now.max_running, self.running_before), "somebody was let in beyond the limit"
            assert not now.queued or now.running >= now.max_running, "somebody waits though there is room"
        else:
            assert not now.queued, "somebody waits though nothing is enforced"
        self.running_before = now.running

    async def end(self) -> None:
        self.limiter.resize(max(1, self.limiter.max_running))
        while self.by_hand:
            self.by_hand -= 1
            self.limiter.release()
        while True:
            await settled()
            if not self.leaving:
                break
            for event in tuple(self.leaving):
                event.set()
        unfinished = [task for task in self.tasks if not task.done()]
        assert not unfinished, f"{len(unfinished)} callers were never let in"
        await asyncio.gather(*self.tasks, return_exceptions=True)
        now = self.limiter.statistics()
        assert (now.running, now.queued, now.surplus_releases) == (0, 0, 0), now


def storm(seed: int, make: Callable[..., Limiter] = Limiter, steps: int = 120) -> None:
    asyncio.run(Storm(seed, make).run(steps))


@pytest.mark.parametrize("tens", range(20))
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

    async def _wait(self) -> None:
        held = len(self._held)
        try:
            await super()._wait()
        except asyncio.CancelledError:
            if len(self._held) < held:
                self._held.append(0)
            raise


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


@pytest.mark.parametrize(
    "broken",
    [
        LosesCancelledPermits,
        SleepsThroughFlips,
        ForgetsToSettleAfterResize,
        LetsInOneTooMany,
        DoesNotHandOn,
        ForgetsWhoRunsWhileOff,
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


def storm_of_threads(seed: int, threads: int = 3, callers: int = 60) -> None:
    """Callers and gathers in several loops, while the mode flips and the limit changes from yet another thread."""
    source, gauge = Source("enforce"), Gauge()
    set_mode_source(source)
    limiter = Limiter("shared", max_running=2, mode=None)
    failures: list[BaseException] = []

    async def caller(chance: random.Random) -> None:
        if chance.random() < 0.5:
            async with limiter:
                await gauge.visit(chance.randint(0, 3))
        else:
            await gather(*(gauge.visit(chance.randint(0, 2)) for _ in range(chance.randint(1, 5))), limit=limiter)

    async def callers_of(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        tasks = [asyncio.create_task(caller(chance)) for _ in range(callers)]
        for task in chance.sample(tasks, callers // 6):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        await settled()

    def loop_of(number: int) -> None:
        try:
            asyncio.run(callers_of(number))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failures.append(error)

    workers = [threading.Thread(target=loop_of, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    chance = random.Random(seed)
    while any(worker.is_alive() for worker in workers):
        source.turn(chance.choice(MODES))
        limiter.resize(chance.randint(1, 4))
        workers[0].join(0.001)
    assert not failures
    now = limiter.statistics()
    assert (now.running, now.queued, now.surplus_releases, gauge.now) == (0, 0, 0, 0), now


@pytest.mark.parametrize("seed", range(5))
def test_no_storm_over_several_loops_loses_a_permit(seed: int) -> None:
    """Three loops, flips and resizes from a fourth thread: everybody gets in, and every permit comes back."""
    storm_of_threads(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 155))
def test_no_longer_storm_over_several_loops_loses_a_permit(seed: int) -> None:
    """Five loops, more callers."""
    storm_of_threads(seed, threads=5, callers=150)
