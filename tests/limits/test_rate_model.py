"""A rate against plain references, and in seeded storms.

The references remember every admission and compute in fractions: a sum over every window, and a bucket that is replayed
from the beginning. The storms have callers that come, are cancelled, settle late and time out, in one loop and in
several with threads between them; that they are worth their time is shown by rates broken on purpose, which they catch.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from penstock_limits._errors import AcquireTimeoutError, LimitReachedError, RequestTooLargeError
from penstock_limits._modes import Mode
from penstock_limits._rates import dimension
from penstock_limits._rates.algorithms import Bucket, Window
from penstock_limits._rates.queue import GRAIN
from penstock_limits._rates.rate import Rate, RateLimiter, Reservation
from penstock_limits._rates.reservation import CANCELLED, NEW
from penstock_limits.testing import ManualClock, VirtualTimeLoop

from tests.limits.gauge import settled

# --- references


class WindowReference:
    """Remembers every admission; what was taken at `t` counts in `[t, t + per)`."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.entries: list[list[Any]] = []

    def used(self, now: float) -> Fraction:
        return sum((amount for when, amount in self.entries if self.counts(when, now)), Fraction())

    def counts(self, when: float, now: float) -> bool:
        return Fraction(when) + Fraction(self.rate.per) > Fraction(now)

    def admits(self, amount: float, now: float) -> bool:
        return amount == 0 or self.used(now) + Fraction(amount) <= Fraction(self.rate.amount)

    def take(self, amount: float, now: float) -> list[Any]:
        entry = [now, Fraction(amount)]
        self.entries.append(entry)
        return entry

    def resize(self, rate: Rate, now: float) -> None:
        self.entries = [entry for entry in self.entries if self.counts(entry[0], now)]
        self.rate = rate


class BucketReference:
    """Replays every admission, with its amount as it is known now, into a bucket that drains at the rate."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.entries: list[list[Any]] = []
        self.rates = [(Fraction(), rate)]

    def used(self, now: float) -> Fraction:
        level = at = Fraction()
        changes = [(Fraction(when), 1, amount, None) for when, amount in self.entries]
        changes += [(when, 0, Fraction(), rate) for when, rate in self.rates] + [(Fraction(now), 2, Fraction(), None)]
        rate = self.rate
        for when, _, amount, other in sorted(changes, key=lambda change: change[:2]):
            level = max(Fraction(), level - (when - at) * Fraction(rate.amount) / Fraction(rate.per)) + amount
            at, rate = when, other or rate
        return level

    def admits(self, amount: float, now: float) -> bool:
        burst = Fraction(self.rate.burst)
        return amount == 0 or self.used(now) <= burst - min(burst, Fraction(amount))

    def take(self, amount: float, now: float) -> list[Any]:
        entry = [now, Fraction(amount)]
        self.entries.append(entry)
        return entry

    def resize(self, rate: Rate, now: float) -> None:
        self.rates.append((Fraction(now), rate))
        self.rate = rate


def attempt(rate: RateLimiter, amounts: dict[str, float]) -> Reservation | None:
    """Return a reservation that is admitted at once, or None."""
    reservation = rate.reserve(timeout=0, **amounts)
    try:
        return reservation.__enter__()
    except (AcquireTimeoutError, RequestTooLargeError):
        return None


AMOUNTS = st.one_of(st.integers(0, 12), st.sampled_from([0.5, 2.25, 9.0]))


class Comparison(RuleBasedStateMachine):
    """The same requests to a rate of two dimensions and to references; each must say the same."""

    reference: Callable[[Rate], Any]
    rates: tuple[Rate, ...]
    exact = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        sizes = {"requests": self.rates[0], "tokens": self.rates[1]}
        self.rate = RateLimiter("compared", clock=self.clock, **sizes)
        self.references = {name: type(self).reference(size) for name, size in sizes.items()}
        self.open: list[tuple[Reservation, dict[str, list[Any]]]] = []

    @rule(requests=st.integers(0, 3), tokens=AMOUNTS)
    def reserve(self, requests: int, tokens: float) -> None:
        now, amounts = self.clock(), {"requests": requests, "tokens": tokens}
        expected = all(self.references[name].admits(amount, now) for name, amount in amounts.items())

        reservation = attempt(self.rate, amounts)

        told = amounts, {name: reference.used(now) for name, reference in self.references.items()}
        assert reservation is None or expected, told
        assert reservation is not None or not expected or not self.exact, told
        if reservation is not None:
            entries = {name: self.references[name].take(amount, now) for name, amount in amounts.items()}
            self.open.append((reservation, entries))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), actual=AMOUNTS)
    def settle(self, data: st.DataObject, actual: float) -> None:
        reservation, entries = data.draw(st.sampled_from(self.open))
        reservation.settle(tokens=actual)
        self.correct(entries, "tokens", actual)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        reservation, entries = data.draw(st.sampled_from(self.open))
        reservation.cancel()
        for name in tuple(entries):
            self.correct(entries, name, 0)

    def correct(self, entries: dict[str, list[Any]], name: str, actual: float) -> None:
        entry = entries.pop(name, None)
        if entry is None:
            return
        if actual > entry[1]:
            self.references[name].take(Fraction(actual) - entry[1], self.clock())
        else:
            entry[1] = Fraction(actual)

    @rule(index=st.integers(0, 2))
    def resize(self, index: int) -> None:
        self.rate.resize(tokens=self.rates[1 + index])
        self.references["tokens"].resize(self.rates[1 + index], self.clock())

    @invariant()
    def tells_what_is_used(self) -> None:
        for name, counted in self.rate.statistics().dimensions.items():
            most = counted.amount if counted.burst is None else counted.burst
            used, expected = most - counted.available, float(self.references[name].used(self.clock()))
            assert used == pytest.approx(expected) if self.exact else used >= expected - 1e-9


class ComparedWindow(Comparison):
    """In any time at all: the window is exact."""

    reference = WindowReference
    rates = (Rate(3, 1.0), Rate(10, 1.0), Rate(7, 0.3), Rate(11, 2.1))

    @rule(seconds=st.one_of(st.floats(0, 2.5), st.sampled_from([0.1, 0.3, 0.7, 1.0])))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)


class ComparedBucket(Comparison):
    """In steps that floats have exactly: with others, the bucket is right up to rounding."""

    reference = BucketReference
    rates = (Rate(2, 4.0, 3), Rate(4, 2.0, 8), Rate(8, 2.0, 4), Rate(1, 1.0, 10.5))

    @rule(sixteenths=st.integers(0, 40))
    def advance(self, sixteenths: int) -> None:
        self.clock.advance(sixteenths / 16)


class ComparedLargeBucket(ComparedBucket):
    """Amounts are tiny beside the burst and share marks: less may be given back, never more."""

    rates = (Rate(2, 4.0, 1024), Rate(4, 2.0, 4096), Rate(8, 2.0, 3072), Rate(1, 1.0, 8192))
    exact = False

    @rule(tokens=st.integers(500, 4000))
    def reserve_much(self, tokens: int) -> None:
        self.reserve(requests=1, tokens=tokens)


SEARCH = settings(
    max_examples=400,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    print_blob=False,
)
for machine in (ComparedWindow, ComparedBucket, ComparedLargeBucket):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWindowAgainstReference = ComparedWindow.TestCase
TestBucketAgainstReference = ComparedBucket.TestCase
TestLargeBucketAgainstReference = ComparedLargeBucket.TestCase


# --- algorithms broken on purpose


class RoundsItsTimes(Window):
    """Forgets an amount when a rounded sum says so."""

    def _expire(self, now: float) -> None:
        while self._times and self._times[0] <= now - self._per:
            self._times.popleft()
            self._ceiling += self._amounts.popleft()


class CountsTheBoundary(Window):
    """Counts what was taken exactly a period ago."""

    def take(self, amount: Any, now: float, forced: bool = False) -> bool:
        return super().take(amount, math.nextafter(now, -math.inf), forced=forced)


class ForgetsTheCeiling(Window):
    """Takes what is given back late from what counts now."""

    def give_back(self, amount: Any, when: float) -> None:
        super().give_back(amount, when)
        self._ceiling = max(self._ceiling, self.taken + self._amount - sum(self._amounts) + amount)


class RefillsTwice(Bucket):
    """Gives back what had been lost when the bucket was full: a single time as its state does that."""

    def give_back(self, amount: Any, when: float) -> None:
        self.taken -= amount


class RefusesHeavyRequests(Bucket):
    """Never admits more than the burst."""

    def take(self, amount: Any, now: float, forced: bool = False) -> bool:
        return (forced or amount <= self._burst) and super().take(amount, now, forced=forced)


class ForgetsDebts(Bucket):
    """Admits from a bucket that owes."""

    def take(self, amount: Any, now: float, forced: bool = False) -> bool:
        if self._marks and self._full_at(self._marks[0]) > now + float(self._burst) * self._interval:
            self._marks[:] = [(now, now, self.taken - self._burst)]
        return super().take(amount, now, forced=forced)


@pytest.mark.parametrize(
    "broken",
    [RoundsItsTimes, CountsTheBoundary, ForgetsTheCeiling, RefillsTwice, RefusesHeavyRequests, ForgetsDebts],
)
def test_the_comparisons_catch_an_algorithm_that_is_broken(
    broken: type[Window | Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each differs from its reference within a few hundred runs."""
    monkeypatch.setattr(dimension, "meter_for", lambda rate, taken=0: broken(rate, taken))
    machine = ComparedWindow if issubclass(broken, Window) else ComparedBucket

    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)


# --- what was admitted, whoever waited


class Recorded(RateLimiter):
    """Remembers what it admits, in order."""

    __slots__ = ("admissions",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.admissions: list[tuple[float, Reservation, list[Any], bool]] = []
        super().__init__(*args, **kwargs)

    def _take(self, reservation: Reservation, now: float, charged: bool = True) -> bool:
        amounts = list(reservation._amounts)
        taken = super()._take(reservation, now, charged=charged)
        if taken:
            self.admissions.append((now, reservation, amounts, charged))
        return taken


def assert_no_window_exceeds(admissions: list[tuple[float, list[Any]]], index: int, rate: Rate) -> None:
    """In each window that ends with an admission, no more was admitted than the rate allows."""
    per, first, used = Fraction(rate.per), 0, Fraction()
    for now, amounts in admissions:
        used += Fraction(amounts[index])
        while Fraction(admissions[first][0]) + per <= Fraction(now):
            used -= Fraction(admissions[first][1][index])
            first += 1
        assert used <= Fraction(rate.amount), f"{used} were admitted within {rate}"


# --- storms in one loop


class Storm:
    """Callers of one rate that come, wait, are cancelled, time out and settle, in virtual time."""

    def __init__(self, seed: int, make: type[Recorded], *, modes: bool) -> None:
        self.random = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.sizes = {"requests": Rate(5, 1.0), "tokens": Rate(100, 1.0)}
        if seed % 2:
            self.sizes["tokens"] = Rate(100, 1.0, burst=30)
        self.rate = make("stormy", clock=self.loop.time, **self.sizes)
        self.modes = modes
        self.asked: list[Reservation] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.made = 0

    async def call(self) -> None:
        timeout = self.random.choice([None, None, None, self.random.random() * 3])
        reservation = self.rate.reserve(timeout=timeout, tokens=self.random.choice([0, 1, 5, 20, 60, 100]))
        self.asked.append(reservation)
        try:
            await reservation
        except AcquireTimeoutError:
            return
        self.made += 1
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.random() * 2)
        if self.random.random() < 0.2:
            reservation.cancel()
            self.made -= 1
        elif self.random.random() < 0.7:
            reservation.settle(tokens=self.random.choice([0, 3, 10, 50]))

    def come(self) -> None:
        self.tasks.append(asyncio.create_task(self.call()))

    def cancel(self) -> None:
        unfinished = [task for task in self.tasks if not task.done()]
        if unfinished:
            self.random.choice(unfinished).cancel()

    def flip(self) -> None:
        if self.modes:
            self.rate._fixed_mode = self.random.choice([Mode.OFF, Mode.OBSERVE, Mode.ENFORCE, Mode.ENFORCE])
            self.rate.mode_changed()

    def resize(self) -> None:
        if self.modes:
            self.rate.resize(requests=Rate(self.random.randint(1, 8), 1.0))

    async def run(self, steps: int) -> None:
        actions = [self.come] * 8 + [self.cancel] * 2 + [self.flip, self.resize] * 2
        for _ in range(steps):
            self.random.choice(actions)()
            pause = self.random.choice([None, None, 0, 0.1, 0.5, 1])
            if pause is not None:
                await asyncio.sleep(pause)
            if pause:
                await settled()
                self.check()
        self.rate._fixed_mode = Mode.ENFORCE
        self.rate.mode_changed()
        await asyncio.sleep(1000)
        unfinished = [task for task in self.tasks if not task.done()]
        assert not unfinished, f"{len(unfinished)} callers wait for ever"
        assert not self.rate.statistics().queued
        self.check_all()

    def check(self) -> None:
        """Nobody waits who could be admitted."""
        head = self.rate._turns.first()
        if head is not None:
            assert self.rate.mode is Mode.ENFORCE, "somebody waits though nothing is enforced"
            due, now = self.rate._due(head.reservation, self.loop.time()), self.loop.time()
            assert head.due is not None, "nobody will tell the head that it is its turn"
            assert due > now or head._timer.when() <= now + GRAIN, "the head waits for nothing"

    def check_all(self) -> None:
        order = {reservation: number for number, reservation in enumerate(self.asked)}
        numbers = [order[reservation] for _, reservation, _, _ in self.rate.admissions]
        if not self.modes:
            assert numbers == sorted(numbers), "somebody was overtaken"
            kept = [
                (when, [0 if reservation._state == CANCELLED else amount for amount in amounts])
                for when, reservation, amounts, _ in self.rate.admissions
            ]
            assert_no_window_exceeds(kept, 0, self.sizes["requests"])
        for task in self.tasks:
            assert task.cancelled() or task.exception() is None, task
        statistics = self.rate.statistics()
        assert statistics.dimensions["requests"].used == self.made, "a call that was never made is counted"
        assert statistics.dimensions["requests"].available == statistics.dimensions["requests"].amount
        assert not self.rate._flying.keys() - {each._state for each in self.asked}, "what has ended is on its way"


def storm(seed: int, make: type[Recorded] = Recorded, steps: int = 80) -> None:
    async def main() -> None:
        await Storm(seed, make, modes=seed % 3 == 0).run(steps)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("tens", range(10))
def test_no_storm_admits_too_much_or_lets_anybody_wait_for_nothing(tens: int) -> None:
    """Ten seeds each: in order, within the rate, nobody forgotten."""
    for seed in range(10 * tens, 10 * tens + 10):
        storm(seed)


@pytest.mark.slow
@pytest.mark.parametrize("hundreds", range(1, 31))
def test_no_longer_storm_admits_too_much_or_lets_anybody_wait_for_nothing(hundreds: int) -> None:
    """A hundred seeds each."""
    for seed in range(100 * hundreds, 100 * hundreds + 100):
        storm(seed, steps=250)


# --- rates broken on purpose


class LosesTheCancelled(Recorded):
    """Forgets that a waiter which is cancelled after it was admitted has used nothing."""

    def _withdraw(self, turn: Any, _: None) -> None:
        if not self._turns.remove(turn):
            turn.reservation._state = CANCELLED


class SleepsThroughSettlements(Recorded):
    """Does not look at the queue when room comes free."""

    def _do(self, chore: Any, subject: Any = None, detail: Any = None) -> None:
        if chore == self._settle:
            with self._lock:
                chore(subject, detail)
        else:
            super()._do(chore, subject, detail)


class SleepsThroughFlips(Recorded):
    """Does not wake its waiters when the mode changes."""

    def mode_changed(self) -> None:
        pass


class ForgetsTheNextHead(Recorded):
    """Sets no alarm for the one behind a head that has gone away."""

    def _give_up(self, turn: Any, error: BaseException) -> None:
        self._turns.remove(turn)


class LetsNewcomersOvertake(Recorded):
    """Admits whoever fits, though others wait."""

    def _enter(self, reservation: Reservation, kind: Any) -> Any:
        if self._take(reservation, self._clock()):
            return None
        return super()._enter(reservation, kind)


class PrefersLightRequests(Recorded):
    """Passes over a head that has to wait."""

    def _catch_up(self, mode: Mode) -> None:
        super()._catch_up(mode)
        for turn in list(self._turns):
            if self._take(turn.reservation, self._clock()):
                self._turns.remove(turn)
                turn.admit()


class KeepsHalfOfWhatItTook(Recorded):
    """Takes requests though there are no tokens."""

    def _give_back_before(self, last: Any, amounts: Any, now: float) -> None:
        pass


class GivesBackTwice(Recorded):
    """Gives back again what was given back."""

    def _undo(self, reservation: Reservation, _: None = None) -> None:
        if reservation._state > NEW and reservation._when is not None and reservation._amounts[0]:
            self._meters[0].give_back(1, reservation._when)
        super()._undo(reservation)


@pytest.mark.parametrize(
    "broken",
    [
        LosesTheCancelled,
        SleepsThroughSettlements,
        SleepsThroughFlips,
        ForgetsTheNextHead,
        LetsNewcomersOvertake,
        PrefersLightRequests,
        KeepsHalfOfWhatItTook,
        GivesBackTwice,
    ],
)
def test_the_storms_catch_a_rate_that_is_broken(broken: type[Recorded]) -> None:
    """Within the seeds of the fast test at least one storm fails."""
    for seed in range(100):
        try:
            storm(seed, broken)
        except AssertionError:
            return
    pytest.fail(f"no storm noticed that {broken.__name__} {broken.__doc__}")


# --- several loops, and threads


class StormOfThreads:
    """Callers of one rate in several loops and threads, and a loop that is closed with a heavy request waiting."""

    def __init__(self, seed: int, callers: int) -> None:
        self.seed = seed
        self.callers = callers
        self.rate = Recorded("shared", requests=Rate(40, 0.05), tokens=Rate(400, 0.05))
        self.failures: list[BaseException] = []

    def wanted(self, chance: random.Random) -> Reservation:
        return self.rate.reserve(tokens=chance.randint(0, 60), timeout=chance.choice([None, 0.02]))

    def end(self, chance: random.Random, reservation: Reservation) -> None:
        if chance.random() < 0.5:
            reservation.settle(tokens=chance.randint(0, 20))

    async def call(self, chance: random.Random) -> None:
        with contextlib.suppress(LimitReachedError):
            async with self.wanted(chance) as reservation:
                self.end(chance, reservation)

    async def calls(self, chance: random.Random) -> None:
        tasks = [asyncio.create_task(self.call(chance)) for _ in range(self.callers)]
        for task in chance.sample(tasks, self.callers // 5):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    def in_a_loop(self, chance: random.Random) -> None:
        asyncio.run(self.calls(chance))

    def blocking(self, chance: random.Random) -> None:
        for _ in range(self.callers):
            with contextlib.suppress(LimitReachedError), self.wanted(chance) as reservation:
                self.end(chance, reservation)

    def guarded(self, work: Callable[[random.Random], None], number: int) -> None:
        try:
            work(random.Random(self.seed * 1000 + number))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.failures.append(error)

    def run(self, loops: int, threads: int) -> None:
        works = [self.in_a_loop] * loops + [self.blocking] * threads
        workers = [
            threading.Thread(target=self.guarded, args=(work, number), daemon=True) for number, work in enumerate(works)
        ]
        for worker in workers:
            worker.start()
        abandon(self.rate)
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers), "somebody waits for ever"
        assert not self.failures
        self.check()

    def check(self) -> None:
        """Requests are never settled here; those cancelled between admission and waking are given back."""
        kept = [
            (when, [0 if reservation._state == CANCELLED else amount for amount in amounts])
            for when, reservation, amounts, _ in self.rate.admissions
        ]
        assert [when for when, _ in kept] == sorted(when for when, _ in kept)
        assert_no_window_exceeds(kept, 0, self.rate._dimensions[0].rate)
        assert (self.rate.statistics().queued, self.rate._flying) == (0, {})


def abandon(rate: RateLimiter) -> None:
    """Close a loop with somebody waiting in it."""
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(asyncio.wait_for(rate.reserve(tokens=400), None))
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
def test_no_storm_over_loops_and_threads_admits_too_much_or_forgets_anybody(seed: int) -> None:
    """Two loops and two threads, and a loop that is closed with a heavy request waiting."""
    StormOfThreads(seed, callers=25).run(loops=2, threads=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 103))
def test_no_longer_storm_over_loops_and_threads_admits_too_much_or_forgets_anybody(seed: int) -> None:
    """More of all."""
    StormOfThreads(seed, callers=60).run(loops=3, threads=3)
