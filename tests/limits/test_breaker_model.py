"""A CircuitBreaker beside a plain model of it, in random walks, in storms of threads, and between any two bytecodes.

The model keeps every outcome with its time and counts anew each time. That the walks are worth their time is shown by
breakers broken on purpose, each of which they catch.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from penstock_limits import BreakerAttempt, CircuitBreaker, CircuitOpenError
from penstock_limits._breakers.states import State
from penstock_limits._breakers.windows import BUCKETS
from penstock_limits.testing import ManualClock


class ServiceError(Exception):
    """What the service fails with."""


ENDS: dict[str, BaseException | None] = {
    "well": None,
    "failed": ServiceError(),
    "cancelled": asyncio.CancelledError(),
}
MODES = ["off", "observe", "enforce", "enforce"]


# --- the model


@dataclass(frozen=True)
class Settings:
    """Those of a breaker."""

    window_calls: int | None = 4
    window_seconds: float | None = None
    minimum_calls: int = 3
    failure_rate: float = 0.5
    slow_call_rate: float = 1.0
    slow_call_seconds: float | None = None
    open_seconds: float = 8.0
    half_open_calls: int = 2
    half_open_seconds: float = 16.0


@dataclass(eq=False)
class Call:
    """A call that has begun in the model."""

    period: int | None  # of the model's life, counted by its states; None if it bypasses the breaker
    began: float
    expired: bool = False


@dataclass
class Model:
    """What a breaker should do, told in the plainest way."""

    settings: Settings
    now: float = 0.0
    state: str = "closed"
    period: int = 0
    outcomes: list[tuple[float, bool, bool]] = field(default_factory=list)  # since the state began: when, failed, slow
    opened_at: float = 0.0
    trials: list[Call] = field(default_factory=list)
    opened: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))

    def begin(self, mode: str) -> Call | None:
        """Return the call; None if it is refused."""
        self.expire()
        if self.state == "open" and self.now >= self.opened_at + self.settings.open_seconds:
            self.turn("half_open")
        call = Call(self.period, self.now)
        if self.state == "half_open" and len(self.trials) + len(self.outcomes) < self.settings.half_open_calls:
            self.trials.append(call)
        elif self.state != "closed":
            self.counts[{"enforce": "rejected", "observe": "would_reject", "off": "bypassed"}[mode]] += 1
            call.period = None
            return None if mode == "enforce" else call
        return call

    def check(self, mode: str) -> bool:
        """Tell whether a call may wait: whether it would be made now."""
        if mode != "enforce" or self.state == "closed":
            return True
        call = self.begin(mode)
        if call is not None and call in self.trials:
            self.trials.remove(call)
        return call is not None

    def end(self, call: Call, how: str) -> None:
        if call.period is None:
            return
        self.expire()
        if call.expired:
            return
        if call in self.trials:
            self.trials.remove(call)
        if how == "cancelled" or call.period != self.period:
            self.counts["ignored"] += 1
            return
        patience = self.settings.slow_call_seconds
        self.record(self.now, how == "failed", patience is not None and self.now - call.began > patience)

    def expire(self) -> None:
        while self.trials and self.trials[0].began + self.settings.half_open_seconds <= self.now:
            call = self.trials.pop(0)
            call.expired = True
            if call.period != self.period:
                self.counts["ignored"] += 1
                continue
            self.record(call.began + self.settings.half_open_seconds, failed=True, slow=False)

    def record(self, at: float, failed: bool, slow: bool) -> None:
        self.outcomes.append((at, failed, slow))
        self.counts["failed" if failed else "succeeded"] += 1
        self.counts["slow"] += slow
        calls, failures, slow_calls = self.window()
        trial_calls = self.settings.half_open_calls
        if self.state == "half_open":
            if self.too_many(failures, slow_calls, trial_calls):
                self.open(at)
            elif calls == trial_calls:
                self.turn("closed")
        elif calls >= self.minimum() and self.too_many(failures, slow_calls, calls):
            self.open(at)

    def open(self, at: float) -> None:
        self.turn("open")
        self.opened += 1
        self.opened_at = at

    def turn(self, state: str) -> None:
        self.state = state
        self.period += 1
        self.outcomes = []

    def window(self) -> tuple[int, int, int]:
        latest = self.outcomes
        if self.state == "closed" and self.settings.window_seconds is not None:
            width = self.settings.window_seconds / BUCKETS
            latest = [each for each in latest if each[0] // width > self.now // width - BUCKETS]
        elif self.state == "closed":
            latest = latest[-(self.settings.window_calls or 100) :]
        return len(latest), sum(failed for _, failed, _ in latest), sum(slow for _, _, slow in latest)

    def minimum(self) -> int:
        if self.settings.window_seconds is not None:
            return self.settings.minimum_calls
        return min(self.settings.minimum_calls, self.settings.window_calls or 100)

    def too_many(self, failures: int, slow: int, calls: int) -> bool:
        return failures / calls >= self.settings.failure_rate or slow / calls >= self.settings.slow_call_rate

    def shown(self) -> dict[str, Any]:
        calls, failures, slow = self.window()
        enough = self.state == "closed" and calls >= self.minimum()
        return {
            "state": self.state,
            "calls": calls,
            "failure_rate": failures / calls if enough else None,
            "slow_call_rate": slow / calls if enough else None,
            "opened": self.opened,
            "trials": len(self.trials),
            "half_open_in": max(0.0, self.opened_at + self.settings.open_seconds - self.now)
            if self.state == "open"
            else None,
            **self.counts,
        }


COUNTED = ("succeeded", "failed", "slow", "ignored", "rejected", "bypassed", "would_reject")


class Pair:
    """A breaker and its model, that everything happens to alike."""

    def __init__(self, chosen: Settings, make: Callable[..., CircuitBreaker] = CircuitBreaker) -> None:
        self.clock = ManualClock()
        self.model = Model(chosen)
        given = {name: getattr(chosen, name) for name in chosen.__dataclass_fields__}
        self.breaker = make("modelled", **given, clock=self.clock, mode=None)

    def begin(self, mode: str) -> tuple[BreakerAttempt, Call] | None:
        attempt, call = self.breaker.attempt(), self.model.begin(mode)
        if self.refuses(attempt.__enter__, mode, made=call is not None):
            return None
        assert call is not None
        return attempt, call

    def look(self, mode: str) -> None:
        self.refuses(self.breaker.check, mode, made=self.model.check(mode))

    def refuses(self, step: Callable[[], object], mode: str, *, made: bool) -> bool:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PENSTOCK_MODE_GOVERNED_BREAKER", mode)
            try:
                step()
            except CircuitOpenError:
                assert not made, "a call was refused that should be made"
                return True
        assert made, "a call was made that should be refused"
        return False

    def end(self, pair: tuple[BreakerAttempt, Call], how: str) -> None:
        attempt, call = pair
        self.model.end(call, how)
        error = ENDS[how]
        attempt.__exit__(type(error) if error else None, error, None)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    def check(self) -> None:
        now = self.breaker.statistics()
        assert {name: getattr(now, name) for name in self.model.shown()} == self.model.shown()


# Powers of two, so that sums of them are exact.
SECONDS = [0.25, 0.5, 1.0, 2.0, 8.0, 16.0]
RATES = [0.25, 0.3, 0.5, 0.75, 1.0]


def some_settings(choose: Callable[[list[Any]], Any]) -> Settings:
    by_time = choose([False, True])
    return Settings(
        window_calls=None if by_time else choose([None, 1, 2, 4, 8]),
        window_seconds=BUCKETS * choose([0.5, 1.0]) if by_time else None,
        minimum_calls=choose([1, 2, 3, 5]),
        failure_rate=choose(RATES),
        slow_call_rate=choose(RATES),
        slow_call_seconds=choose([None, None, 0.5, 1.0]),
        half_open_calls=choose([1, 2, 3, 5]),
    )


# --- walks


class BreakerBesideItsModel(RuleBasedStateMachine):
    """Calls begin, end in any order and in every way, and time passes."""

    calls: Bundle[Any] = Bundle("calls")

    @initialize(data=st.data())
    def make(self, data: st.DataObject) -> None:
        self.pair = Pair(some_settings(lambda choices: data.draw(st.sampled_from(choices))))

    @rule(target=calls, mode=st.sampled_from(MODES))
    def begin(self, mode: str) -> Any:
        return self.pair.begin(mode)

    @rule(mode=st.sampled_from(MODES))
    def look(self, mode: str) -> None:
        self.pair.look(mode)

    @rule(call=consumes(calls), how=st.sampled_from([*ENDS, "failed"]))
    def end(self, call: Any, how: str) -> None:
        if call is not None:
            self.pair.end(call, how)

    @rule(seconds=st.sampled_from(SECONDS))
    def advance(self, seconds: float) -> None:
        self.pair.advance(seconds)

    @rule(number=st.integers(1, 5), how=st.sampled_from(["well", "failed"]))
    def call(self, number: int, how: str) -> None:
        for _ in range(number):
            call = self.pair.begin("enforce")
            if call is not None:
                self.pair.end(call, how)

    @invariant()
    def alike(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check()


TestBreakerBesideItsModel = BreakerBesideItsModel.TestCase
TestBreakerBesideItsModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def walk(seed: int, make: Callable[..., CircuitBreaker] = CircuitBreaker, steps: int = 100) -> None:
    chance = random.Random(seed)
    pair = Pair(some_settings(chance.choice), make)
    calls: list[tuple[BreakerAttempt, Call]] = []
    ends = chance.choice([["well", "failed"], ["well", "well", "well", "failed"], ["failed", "failed", "cancelled"]])
    for _ in range(steps):
        step = chance.random()
        if step < 0.5:
            call = pair.begin(chance.choice(MODES))
            calls += [call] if call is not None else []
        elif step < 0.6:
            pair.look(chance.choice(MODES))
        elif step < 0.85:
            if calls:
                pair.end(calls.pop(chance.randrange(len(calls))), chance.choice([*ends, *ENDS]))
        else:
            pair.advance(chance.choice(SECONDS))
        pair.check()


@pytest.mark.parametrize("hundred", range(3))
def test_no_walk_tells_the_breaker_from_its_model(hundred: int) -> None:
    """A hundred seeds each: every state, every count, after every step."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        walk(seed)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(3, 53))
def test_no_longer_walk_tells_the_breaker_from_its_model(hundred: int) -> None:
    """A hundred seeds each, with more steps."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        walk(seed, steps=400)


# --- breakers broken on purpose


class AdmitsOneTrialTooMany(CircuitBreaker):
    """An off-by-one in the way in."""

    def _admit(self, call: object, now: float) -> bool:
        if super()._admit(call, now):
            return True
        self._rules, rules = (
            dataclasses.replace(self._rules, half_open_calls=self._rules.half_open_calls + 1),
            self._rules,
        )
        try:
            return super()._admit(call, now)
        finally:
            self._rules = rules


class TrustsEarlierCalls(CircuitBreaker):
    """Counts what began before the breaker opened."""

    def _report(self, call: object, state: State, *args: Any, **kwargs: Any) -> None:
        super()._report(call, self._state if self._state.name == "closed" else state, *args, **kwargs)


class KeepsCancelledTrials(CircuitBreaker):
    """Forgets to give the permit of a cancelled trial call back."""

    def _report(self, call: object, state: State, *args: Any, failed: bool | None, **kwargs: Any) -> None:
        if failed is None and call in self._trials:
            self._ignored += 1
        else:
            super()._report(call, state, *args, failed=failed, **kwargs)


class CountsCancellations(CircuitBreaker):
    """Takes a cancelled call for a failed one."""

    def _is_failed(self, said: str | None, error: BaseException | None) -> bool | None:
        return error is not None


class WaitsForever(CircuitBreaker):
    """Sticks in half open when a trial call never reports."""

    def _expire_trials(self, *args: Any) -> None:
        pass


class OpensWhenItIsAsked(CircuitBreaker):
    """Takes the time when somebody noticed for the time when a trial call was due."""

    def _count(self, at: float, *args: Any, **kwargs: Any) -> None:
        super()._count(self._clock(), *args, **kwargs)


class ClosesAfterOneTrial(CircuitBreaker):
    """Takes the first trial call that goes well for all of them."""

    def _count(self, at: float, news: Any, *, failed: bool, slow: bool) -> None:
        super()._count(at, news, failed=failed, slow=slow)
        if self._state.name == "half_open" and not failed:
            self._close(self._state.window.counts(), news)


class SettlesTooEarly(CircuitBreaker):
    """Takes a call that goes well for harmless, before there are enough calls."""

    def _conclude(self, *args: Any) -> None:
        super()._conclude(*args)
        self._state.settled_until = float("inf")


class StaysSettled(CircuitBreaker):
    """Does not mind that a time window forgets."""

    def _conclude(self, *args: Any) -> None:
        super()._conclude(*args)
        if self._state.settled_until > 0:
            self._state.settled_until = float("inf")


class RecordsBypasses(CircuitBreaker):
    """Counts what bypassing calls report."""

    def _note_refusal(self, mode: Any, news: Any) -> None:
        super()._note_refusal(mode, news)
        self._ignored += str(mode) != "enforce"


@pytest.mark.parametrize(
    "broken",
    [
        AdmitsOneTrialTooMany,
        TrustsEarlierCalls,
        KeepsCancelledTrials,
        CountsCancellations,
        WaitsForever,
        OpensWhenItIsAsked,
        ClosesAfterOneTrial,
        SettlesTooEarly,
        StaysSettled,
        RecordsBypasses,
    ],
)
def test_the_walks_catch_a_breaker_that_is_broken(broken: type[CircuitBreaker]) -> None:
    """Within the seeds of the fast test at least one walk fails."""
    for seed in range(300):
        try:
            walk(seed, broken)
        except AssertionError:
            return
    pytest.fail(f"no walk noticed that {broken.__name__} {broken.__doc__}")


# --- several threads and loops


class Storm:
    """Threads with a loop each and threads without, on one breaker; their calls end in every way."""

    def __init__(self, seed: int, make: Callable[..., CircuitBreaker], **given: Any) -> None:
        self.seed = seed
        self.clock = ManualClock()
        self.trial_calls = 3
        self.breaker = make(
            "stormy",
            minimum_calls=5,
            failure_rate=0.2,
            open_seconds=1,
            half_open_calls=self.trial_calls,
            clock=self.clock,
            **given,
        )
        self.lock = threading.Lock()
        self.made = self.refused = self.trials_out = self.most_trials_out = 0
        self.failures: list[BaseException] = []

    @contextlib.contextmanager
    def counted(self, attempt: BreakerAttempt) -> Any:
        trial = attempt._state is not None and attempt._state.name == "half_open"
        with self.lock:
            self.made += 1
            self.trials_out += trial
            self.most_trials_out = max(self.most_trials_out, self.trials_out)
        try:
            yield
        finally:
            with self.lock:
                self.trials_out -= trial

    def sync_calls(self, chance: random.Random, number: int) -> None:
        for _ in range(number):
            self.clock.advance(chance.choice([0, 0, 0, 1.0]))
            error = chance.choice([None, None, None, ServiceError(), asyncio.CancelledError()])
            with contextlib.suppress(ServiceError, asyncio.CancelledError):
                try:
                    with self.breaker.attempt() as attempt, self.counted(attempt):
                        if error:
                            raise error
                except CircuitOpenError:
                    with self.lock:
                        self.refused += 1

    async def call(self, chance: random.Random) -> None:
        try:
            async with self.breaker.attempt() as attempt:
                with self.counted(attempt):
                    for _ in range(chance.randint(0, 3)):
                        await asyncio.sleep(0)
                    if chance.random() < 0.3:
                        raise ServiceError
        except CircuitOpenError:
            with self.lock:
                self.refused += 1

    async def calls_of_a_loop(self, chance: random.Random, number: int) -> None:
        tasks = [asyncio.create_task(self.call(chance)) for _ in range(number)]
        await asyncio.sleep(0)
        for task in chance.sample(tasks, number // 5):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def thread(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        try:
            for _ in range(5):
                if number % 2:
                    asyncio.run(self.calls_of_a_loop(chance, 60))
                else:
                    self.sync_calls(chance, 200)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.failures.append(error)

    def run(self, threads: int = 4) -> None:
        workers = [threading.Thread(target=self.thread, args=(number,), daemon=True) for number in range(threads)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(60)
        finally:
            sys.setswitchinterval(interval)
        assert not self.failures
        now = self.breaker.statistics()
        assert now.trials == 0
        assert self.most_trials_out <= self.trial_calls, "too many trial calls at once"
        assert now.succeeded + now.failed + now.ignored == self.made, "a call was lost, or counted twice"
        assert now.rejected == self.refused
        assert now.opened > 0


WINDOWS = [{"window_calls": 20}, {"window_seconds": 20.0}, {"window_calls": 20, "slow_call_seconds": 5.0}]


@pytest.mark.parametrize("given", WINDOWS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_no_storm_loses_a_call_or_lets_too_many_through(seed: int, given: dict[str, Any]) -> None:
    """Each call that was made is counted once, and there are never more trial calls than may be."""
    Storm(seed, CircuitBreaker, half_open_seconds=1e9, **given).run()


@pytest.mark.slow
@pytest.mark.parametrize("given", WINDOWS, ids=str)
@pytest.mark.parametrize("seed", range(3, 53))
def test_no_longer_storm_loses_a_call_or_lets_too_many_through(seed: int, given: dict[str, Any]) -> None:
    """Six threads."""
    Storm(seed, CircuitBreaker, half_open_seconds=1e9, **given).run(threads=6)


# --- between any two bytecodes


class Pause:
    """Runs something else, in another thread, before the so-many-eth bytecode of the breaker's code."""

    def __init__(self, breaker: CircuitBreaker, bytecode: int, meanwhile: Callable[[], None]) -> None:
        self.breaker = breaker
        self.left = bytecode
        self.meanwhile = meanwhile
        self.happened = False

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if "penstock_limits" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            free = not self.breaker._lock._is_owned()  # type: ignore[attr-defined]
            if self.left < 0 and free and not self.happened:  # while it is taken, the other thread would have to wait
                self.happened = True
                thread = threading.Thread(target=self.meanwhile)
                thread.start()
                thread.join()
        return self.trace

    def around(self, step: Callable[[], None]) -> None:
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            step()
        finally:
            sys.settrace(before)


class Scene:
    """A breaker after a prelude, with calls on their way that may begin and end now."""

    def __init__(self, prelude: str, make: Callable[..., CircuitBreaker], given: dict[str, Any]) -> None:
        self.clock = ManualClock()
        self.breaker = make(
            minimum_calls=3, failure_rate=0.5, open_seconds=1, half_open_calls=2, clock=self.clock, **given
        )
        self.early = [self.breaker.attempt().__enter__() for _ in range(4)]
        if prelude != "fresh":
            self.calls("well", 3)
        if prelude in {"open", "half open"}:
            self.calls("failed", 9)
            self.clock.advance(1)
        if prelude == "half open":
            self.early = [self.breaker.attempt().__enter__() for _ in range(2)]
        if prelude == "forgetful":
            self.clock.advance(9)
            self.calls("failed", 1)
            self.clock.advance(0.999)  # one tick more, and the three calls that went well are forgotten
        self.calm = [self.breaker.attempt().__enter__() for _ in range(2)] if prelude in {"warm", "forgetful"} else []

    def calls(self, how: str, number: int = 1) -> None:
        for _ in range(number):
            with contextlib.suppress(CircuitOpenError):
                self.end(self.breaker.attempt().__enter__(), how)

    def end(self, attempt: BreakerAttempt, how: str) -> None:
        error = ENDS[how]
        attempt.__exit__(type(error) if error else None, error, None)

    def step(self, what: str) -> None:
        """Do something; all that the breaker does in it should look like a single moment."""
        kind, _, how = what.partition(" ")
        if kind == "begin":
            with contextlib.suppress(CircuitOpenError):
                self.early.append(self.breaker.attempt().__enter__())
        elif kind == "end":
            self.end((self.calm or self.early).pop(), how)
        elif kind == "outage":
            self.calls("failed", 20)
        elif kind == "cycle":
            self.calls("failed", 20)
            self.clock.advance(1)
            self.calls("well", 2)
        else:
            self.clock.advance(0.125)
            self.calls("failed", 1)

    def shown(self) -> str:
        return repr(self.breaker.statistics())


FIRST = ["begin", "end well", "end failed", "end cancelled"]
SECOND = [*FIRST, "outage", "cycle", "tick"]
GIVEN = [
    *(({"window_calls": 8}, prelude) for prelude in ("fresh", "warm", "open", "half open")),
    *(({"window_seconds": 10.0}, prelude) for prelude in ("fresh", "warm", "forgetful", "open", "half open")),
    *(({"window_calls": 8, "slow_call_seconds": 5.0}, prelude) for prelude in ("fresh", "warm", "half open")),
]


def interleave(
    given: dict[str, Any], prelude: str, first: str, *, every: int, make: Callable[..., CircuitBreaker] = CircuitBreaker
) -> None:
    """Let each second thing happen in the middle of a first, wherever that is."""
    for second in SECOND:
        allowed = set()
        for order in ([first, second], [second, first]):
            scene = Scene(prelude, make, given)
            for what in order:
                scene.step(what)
            allowed.add(scene.shown())
        for bytecode in range(0, 1000, every):
            scene = Scene(prelude, make, given)
            pause = Pause(scene.breaker, bytecode, lambda scene=scene, second=second: scene.step(second))
            pause.around(lambda scene=scene: scene.step(first))
            if not pause.happened:
                break
            assert scene.shown() in allowed, f"{second!r} before bytecode {bytecode} of {first!r}, {prelude}"


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize(("given", "prelude"), GIVEN, ids=str)
def test_what_happens_in_the_middle_might_have_happened_before_or_after(
    given: dict[str, Any], prelude: str, first: str
) -> None:
    """Whatever another thread does meanwhile, the outcome is one that a lock around each step would allow."""
    interleave(given, prelude, first, every=11)


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize(("given", "prelude"), GIVEN, ids=str)
def test_what_happens_between_any_two_bytecodes_might_have_happened_before_or_after(
    given: dict[str, Any], prelude: str, first: str
) -> None:
    """The same at every bytecode of the breaker's code."""
    interleave(given, prelude, first, every=1)


class ForgetsWhoWasLate(CircuitBreaker):
    """Does not look whether the state has ended while a ticket was drawn."""

    def _note_late(self, state: State, ticket: int) -> None:
        pass


class DoesNotLookAgain(CircuitBreaker):
    """Does not look whether the time window has forgotten while a ticket was drawn."""

    def _draw_ticket(self, state: State, now: float) -> None:
        super()._draw_ticket(state, float("nan"))


class TakesNoLock(CircuitBreaker):
    """Decides, and then acts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = NoLock()  # type: ignore[assignment]


class NoLock:
    """Keeps nobody out."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def _is_owned(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("broken", "given", "prelude", "first"),
    [
        (ForgetsWhoWasLate, {"window_calls": 8}, "warm", "end well"),
        (DoesNotLookAgain, {"window_seconds": 10.0}, "forgetful", "end well"),
        (TakesNoLock, {"window_calls": 8}, "half open", "begin"),
    ],
)
def test_the_pauses_catch_a_breaker_that_is_broken(
    broken: type[CircuitBreaker], given: dict[str, Any], prelude: str, first: str
) -> None:
    """Somewhere in the middle, something happens that could not have happened before or after."""
    with pytest.raises(AssertionError, match="before bytecode"):
        interleave(given, prelude, first, every=1, make=broken)
