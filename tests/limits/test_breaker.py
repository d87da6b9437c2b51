"""When a CircuitBreaker opens, what it lets through then, and what brings it back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from penstock_limits import (
    BreakerAttempt,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Limiter,
    LimitReachedError,
    Mode,
    RequestTooLargeError,
    add_listener,
    resources,
    set_mode_source,
)
from penstock_limits.testing import ManualClock, recorded

from tests.limits.gauge import Doors, settled
from tests.limits.sources import Source


class ServiceError(Exception):
    """What the service fails with."""


class Worked:
    """A breaker, its clock, and calls of every kind."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        defaults = {"window_calls": 4, "minimum_calls": 4, "half_open_calls": 2, "clock": self.clock}
        self.breaker = CircuitBreaker("api", **{**defaults, **settings})

    def succeed(self, times: int = 1, *, seconds: float = 0.0) -> None:
        for _ in range(times):
            with self.breaker.attempt():
                self.clock.advance(seconds)

    def fail(self, times: int = 1, error: BaseException | None = None) -> None:
        for _ in range(times):
            error = error or ServiceError()
            with contextlib.suppress(type(error)), self.breaker.attempt():
                raise error

    def begin(self) -> BreakerAttempt:
        return self.breaker.attempt().__enter__()

    def open(self) -> None:
        self.fail(4)
        assert self.breaker.state == "open"

    def half_open(self) -> None:
        """Open it, and let so much time pass that the next call is a trial call."""
        self.open()
        self.clock.advance(30)


def end(attempt: BreakerAttempt, error: BaseException | None = None) -> None:
    attempt.__exit__(type(error) if error else None, error, None)


# --- closed


def test_it_opens_when_the_share_of_failures_reaches_the_rate() -> None:
    """Of four calls two."""
    it = Worked()

    it.succeed(2)
    it.fail()
    assert it.breaker.state == "closed"
    it.fail()

    assert it.breaker.state == "open"


def test_too_few_calls_say_nothing() -> None:
    """Three failures of three are no four calls."""
    it = Worked()

    it.fail(3)

    now = it.breaker.statistics()
    assert (now.state, now.calls, now.failed, now.failure_rate) == ("closed", 3, 3, None)


def test_a_call_that_goes_well_may_be_the_one_that_makes_them_enough() -> None:
    """Three failures of four calls are too many, whichever came last."""
    it = Worked()
    it.fail(3)

    it.succeed()

    assert it.breaker.state == "open"


def test_only_the_latest_calls_count() -> None:
    """A failure each three calls is a quarter, for ever."""
    it = Worked()

    for _ in range(50):
        it.succeed(3)
        it.fail()

    now = it.breaker.statistics()
    assert (now.state, now.calls, now.failure_rate) == ("closed", 4, 0.25)
    assert (now.succeeded, now.failed) == (150, 50)


def test_a_window_smaller_than_the_minimum_is_enough_when_it_is_full() -> None:
    """As in resilience4j; else it could never open."""
    it = Worked(window_calls=2, minimum_calls=10)

    it.fail(2)

    assert it.breaker.state == "open"


def test_a_time_window_forgets_what_is_old() -> None:
    """Nobody needs to call for that."""
    it = Worked(window_calls=None, window_seconds=10)
    it.fail(3)
    assert it.breaker.statistics().calls == 3

    it.clock.advance(10)

    assert it.breaker.statistics().calls == 0
    it.fail()
    assert it.breaker.state == "closed"


def test_a_time_window_opens_when_forgetting_raises_the_rate() -> None:
    """The next call finds it, even one that goes well."""
    it = Worked(window_calls=None, window_seconds=10)
    it.succeed(10)
    it.clock.advance(5)
    it.fail(4)
    assert it.breaker.statistics().failure_rate == pytest.approx(4 / 14)

    it.clock.advance(5)
    it.succeed()

    assert it.breaker.state == "open"


def test_it_opens_when_calls_are_slow() -> None:
    """A service that answers late is no better than one that fails."""
    it = Worked(slow_call_seconds=2, slow_call_rate=0.5)

    it.succeed(3, seconds=2)
    it.succeed(seconds=3)
    assert (it.breaker.state, it.breaker.statistics().slow_call_rate) == ("closed", 0.25)
    it.succeed(seconds=3)

    assert it.breaker.state == "open"
    assert (it.breaker.statistics().slow, it.breaker.statistics().succeeded) == (2, 5)


@pytest.mark.parametrize("thirds", [1, 3, 7])
def test_a_rate_is_reached_exactly(thirds: int) -> None:
    """Three of ten are 0.3, whatever floating point makes of ten times 0.3."""
    it = Worked(window_calls=10, minimum_calls=10, failure_rate=thirds / 10)

    it.fail(thirds)
    it.succeed(10 - thirds)

    assert it.breaker.state == "open"


# --- what counts


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), SystemExit()])
def test_what_is_no_exception_says_nothing(error: BaseException) -> None:
    """Cancellation is the caller's doing."""
    it = Worked()

    it.fail(10, error)

    now = it.breaker.statistics()
    assert (now.state, now.calls, now.ignored) == ("closed", 0, 10)


@pytest.mark.parametrize(
    "error",
    [
        LimitReachedError("limit", 1, 1),
        RequestTooLargeError("rate", "tokens", 2, 1),
        CircuitOpenError("other", "open", 1.0),
    ],
)
def test_a_call_that_was_never_made_says_nothing(error: Exception) -> None:
    """A limit within the block has refused it."""
    it = Worked(is_failure=lambda error: True)

    it.fail(10, error)

    assert (it.breaker.statistics().calls, it.breaker.statistics().ignored) == (0, 10)


async def test_a_deadline_within_the_block_is_a_failure_and_one_around_it_is_not() -> None:
    """Around it, it arrives as a cancellation."""
    it = Worked()

    for _ in range(2):
        with contextlib.suppress(TimeoutError):
            async with it.breaker.attempt(), asyncio.timeout(0):
                await asyncio.sleep(1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0), it.breaker.attempt():
                await asyncio.sleep(1)

    assert (it.breaker.statistics().failed, it.breaker.statistics().ignored) == (2, 2)


async def test_a_stream_that_nobody_reads_to_its_end_says_nothing() -> None:
    """Closing an async generator is no failure of the service."""
    it = Worked()

    async def stream() -> AsyncIterator[int]:
        async with it.breaker.attempt():
            yield 1

    async with contextlib.aclosing(stream()) as lines:
        async for _ in lines:
            break

    assert it.breaker.statistics().ignored == 1


def test_is_failure_tells_failures_from_answers() -> None:
    """A service that says no is alive."""
    it = Worked(is_failure=lambda error: not isinstance(error, LookupError))

    it.fail(4, LookupError())
    assert (it.breaker.state, it.breaker.statistics().succeeded) == ("closed", 4)
    it.fail(2)

    assert it.breaker.state == "open"


def test_an_is_failure_that_fails_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets its own exception, which counts as a failure; the log has the other, once."""
    it = Worked(is_failure=lambda error: error.nonsense)  # type: ignore[attr-defined]

    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            with pytest.raises(ServiceError), it.breaker.attempt():
                raise ServiceError

    assert it.breaker.state == "open"
    assert [line.getMessage() for line in caplog.records] == [
        "is_failure of breaker 'api' fails; what it cannot judge counts as a failure"
    ]


def test_an_interrupt_in_is_failure_gives_the_trial_call_back() -> None:
    """What escapes is the interrupt; the permit does not go with it."""

    def interrupted(error: Exception) -> bool:
        raise KeyboardInterrupt

    it = Worked(is_failure=interrupted, half_open_calls=1)
    for _ in range(4):
        attempt = it.begin()
        attempt.failed()
        end(attempt)
    it.clock.advance(30)

    with pytest.raises(KeyboardInterrupt), it.breaker.attempt():
        raise ServiceError

    it.succeed()
    assert it.breaker.state == "closed"


def test_the_caller_may_say_that_a_call_has_failed() -> None:
    """A response 503 is no exception."""
    it = Worked()

    for _ in range(4):
        with it.breaker.attempt() as attempt:
            attempt.failed()

    assert it.breaker.state == "open"


def test_the_caller_may_say_that_a_call_says_nothing() -> None:
    """Whatever it raises."""
    it = Worked()

    for _ in range(4):
        with contextlib.suppress(ServiceError), it.breaker.attempt() as attempt:
            attempt.ignored()
            raise ServiceError

    assert (it.breaker.statistics().calls, it.breaker.statistics().ignored) == (0, 4)


def test_the_callers_word_goes_before_a_cancellation() -> None:
    """The service had failed before."""
    it = Worked()

    with contextlib.suppress(asyncio.CancelledError), it.breaker.attempt() as attempt:
        attempt.failed()
        raise asyncio.CancelledError

    assert it.breaker.statistics().failed == 1


def test_what_is_to_wait_is_refused_before_it_waits() -> None:
    """While the breaker is open; it is counted once, and takes no trial call's place when it is half open."""
    worked = Worked(half_open_calls=1)
    worked.breaker.check()
    worked.open()

    with pytest.raises(CircuitOpenError, match="try again in 30 s"):
        worked.breaker.check()
    worked.clock.advance(30)
    worked.breaker.check()
    worked.breaker.check()

    now = worked.breaker.statistics()
    assert (now.state, now.rejected, now.trials) == ("half_open", 1, 0)


def test_what_is_to_wait_is_refused_while_the_trial_calls_are_out() -> None:
    """It would find no place."""
    worked = Worked(half_open_calls=1)
    worked.half_open()
    trial = worked.begin()

    with pytest.raises(CircuitOpenError, match="when its trial calls have ended"):
        worked.breaker.check()
    end(trial)
    worked.breaker.check()

    assert worked.breaker.state == "closed"


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_nothing_is_refused_nor_counted_before_it_waits_unless_it_enforces(mode: str) -> None:
    """The call is counted when it is made."""
    worked = Worked(mode=mode)
    worked.open()
    worked.breaker.check()

    now = worked.breaker.statistics()
    assert (now.rejected, now.bypassed, now.would_reject) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["enforce", "off"])
def test_what_is_said_outside_the_block_is_refused(mode: str) -> None:
    """It would be lost without a word."""
    it = Worked(mode=mode)
    it.open()
    it.clock.advance(30)
    attempt = it.breaker.attempt()

    with pytest.raises(RuntimeError, match=r"<BreakerAttempt of 'api': not begun> cannot be failed: say so inside"):
        attempt.failed()
    with attempt:
        assert repr(attempt) == "<BreakerAttempt of 'api': under way>"
    with pytest.raises(RuntimeError, match=r"<BreakerAttempt of 'api': ended> cannot be ignored: say so inside"):
        attempt.ignored()


@pytest.mark.parametrize("calls", [0, 10])
def test_an_attempt_is_one_call(calls: int) -> None:
    """A second beginning is a mistake that says so."""
    it = Worked()
    it.succeed(calls)
    attempt = it.breaker.attempt()
    with attempt, pytest.raises(RuntimeError, match="is begun twice; ask for another"), attempt:
        pass

    with pytest.raises(RuntimeError, match="is begun twice"), attempt:
        pass

    assert it.breaker.statistics().succeeded == calls + 1


def test_a_result_from_before_it_opened_is_ignored() -> None:
    """It says what was, not what is."""
    it = Worked()
    early = [it.begin() for _ in range(10)]
    it.half_open()
    it.succeed(2)
    assert it.breaker.state == "closed"

    for attempt in early:
        end(attempt, ServiceError())

    now = it.breaker.statistics()
    assert (now.state, now.calls, now.ignored) == ("closed", 0, 10)


def test_an_early_success_does_not_close_it() -> None:
    """Nor does it use up a trial call."""
    it = Worked()
    early = it.begin()
    it.half_open()
    trial = it.begin()

    end(early)

    assert (it.breaker.state, it.breaker.statistics().trials) == ("half_open", 1)
    end(trial)
    assert it.breaker.state == "half_open"


# --- open


def test_an_open_breaker_makes_no_call() -> None:
    """The error says who, how long, and what to do."""
    it = Worked()
    it.open()
    it.clock.advance(17.5)

    told = r"circuit breaker 'api' is open: the call was not made.* in 12\.5 s"
    with pytest.raises(CircuitOpenError, match=told), it.breaker.attempt():
        pytest.fail("the call was made")

    assert it.breaker.statistics().rejected == 1
    assert it.breaker.statistics().half_open_in == 12.5


async def test_neither_entering_nor_leaving_ever_yields() -> None:
    """Closed, open and half open: nobody else runs meanwhile."""
    it, ran = Worked(), []
    asyncio.get_running_loop().call_soon(ran.append, "ran")

    for _ in range(4):
        with contextlib.suppress(ServiceError):
            async with it.breaker.attempt():
                raise ServiceError
    with contextlib.suppress(CircuitOpenError):
        async with it.breaker.attempt():
            pass
    it.clock.advance(30)
    for _ in range(10):
        async with it.breaker.attempt():
            pass

    assert (ran, it.breaker.state, it.breaker.statistics().rejected) == ([], "closed", 1)


# --- half open


def test_it_closes_when_the_trial_calls_went_well() -> None:
    """All of them, and with an empty window."""
    it = Worked()
    it.half_open()

    it.succeed()
    assert it.breaker.state == "half_open"
    it.succeed()

    assert (it.breaker.state, it.breaker.statistics().calls) == ("closed", 0)


def test_it_opens_again_as_soon_as_it_cannot_close() -> None:
    """With two of five trial calls failed, a rate of 0.4 will be reached whatever the others do."""
    it = Worked(half_open_calls=5, failure_rate=0.4)
    it.half_open()
    others = [it.begin() for _ in range(3)]

    it.fail()
    assert it.breaker.state == "half_open"
    it.fail()
    assert it.breaker.state == "open"

    for attempt in others:
        end(attempt)
    assert (it.breaker.state, it.breaker.statistics().ignored) == ("open", 3)


def test_a_failure_below_the_rate_does_not_keep_it_open() -> None:
    """One of five trial calls is less than 0.4."""
    it = Worked(half_open_calls=5, failure_rate=0.4)
    it.half_open()

    it.fail()
    it.succeed(4)

    assert it.breaker.state == "closed"


def test_slow_trial_calls_keep_it_open() -> None:
    """They went well, but late."""
    it = Worked(slow_call_seconds=1, slow_call_rate=0.5)
    it.half_open()

    it.succeed(seconds=2)

    assert it.breaker.state == "open"


async def _pass(breaker: CircuitBreaker, doors: Doors) -> None:
    async with breaker.attempt():
        await doors.enter()


@pytest.mark.parametrize("trials", [1, 3])
async def test_of_a_hundred_calls_at_once_only_the_trial_calls_pass(trials: int) -> None:
    """However many wait for the moment."""
    it, doors = Worked(half_open_calls=trials), Doors()
    it.half_open()

    tasks = [asyncio.create_task(_pass(it.breaker, doors)) for _ in range(100)]
    await settled()

    assert (doors.gauge.now, it.breaker.statistics().rejected) == (trials, 100 - trials)
    doors.open.set()
    refusals = [task.exception() for task in tasks if await asyncio.wait([task]) and task.exception()]
    assert {error.retry_after for error in refusals if isinstance(error, CircuitOpenError)} == {0.0}
    assert it.breaker.state == "closed"


def test_of_calls_in_threads_only_the_trial_calls_pass() -> None:
    """They come all at once."""
    it, barrier, passed = Worked(half_open_calls=3), threading.Barrier(20), []
    it.half_open()

    def work() -> None:
        barrier.wait()
        with contextlib.suppress(CircuitOpenError):
            passed.append(it.begin())

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(passed) == 3


def test_a_cancelled_trial_call_makes_room_for_another() -> None:
    """It has told nothing."""
    it = Worked()
    it.half_open()

    it.fail(5, asyncio.CancelledError())
    assert (it.breaker.state, it.breaker.statistics().trials) == ("half_open", 0)
    it.succeed(2)

    assert it.breaker.state == "closed"


def test_a_trial_call_that_never_reports_is_a_failure() -> None:
    """So nothing holds the breaker half open (resilience4j #903, #2028)."""
    it = Worked(half_open_calls=1)
    it.half_open()
    stuck = it.begin()

    it.clock.advance(59)
    with pytest.raises(CircuitOpenError, match=r"is half_open: .* try again when its trial calls have ended"):
        it.begin()
    it.clock.advance(1)
    with pytest.raises(CircuitOpenError, match="is open"):
        it.begin()
    it.clock.advance(30)
    it.succeed()

    assert it.breaker.state == "closed"
    assert it.breaker.statistics().failed == 5
    end(stuck)  # and its late report changes nothing
    now = it.breaker.statistics()
    assert (now.state, now.calls, now.succeeded, now.ignored) == ("closed", 0, 1, 0)


def test_a_trial_call_that_was_dropped_is_a_failure() -> None:
    """Somebody began it and lost it."""
    it = Worked(half_open_calls=1)
    it.half_open()
    it.begin()
    gc.collect()

    it.clock.advance(60)
    it.clock.advance(30)

    it.succeed()
    assert it.breaker.state == "closed"


def test_a_trial_call_that_reports_too_late_has_failed_before() -> None:
    """Even if nobody looked meanwhile."""
    it = Worked(half_open_calls=1)
    it.half_open()
    late = it.begin()
    it.clock.advance(60)

    end(late)

    assert (it.breaker.state, it.breaker.statistics().failed, it.breaker.statistics().ignored) == ("open", 5, 0)


def test_time_that_nobody_called_in_has_passed_nevertheless() -> None:
    """The trial call was overdue an hour ago, so it opened then, and is half open now."""
    it = Worked(half_open_calls=1)
    it.half_open()
    it.begin()

    it.clock.advance(3600)
    it.succeed()

    assert (it.breaker.state, it.breaker.statistics().opened) == ("closed", 2)


def test_trial_calls_that_are_out_when_it_opens_again_still_count_as_out() -> None:
    """There are never more than so many on the service, and what the earlier ones report counts for nothing."""
    it = Worked(half_open_calls=3)
    it.half_open()
    slow = it.begin()
    it.fail(2)
    it.clock.advance(30)

    later = [it.begin() for _ in range(2)]
    with pytest.raises(CircuitOpenError, match="is half_open"):
        it.begin()
    end(slow, ServiceError())
    it.succeed()
    for attempt in later:
        end(attempt)

    assert (it.breaker.state, it.breaker.statistics().ignored) == ("closed", 1)


def test_one_overdue_trial_call_of_several_may_be_outvoted() -> None:
    """One of five is less than 0.4; it closes when the time is up."""
    it = Worked(half_open_calls=5, failure_rate=0.4)
    it.half_open()
    it.begin()
    it.succeed(4)
    assert it.breaker.state == "half_open"

    it.clock.advance(60)
    it.succeed()

    assert (it.breaker.state, it.breaker.statistics().calls) == ("closed", 1)


# --- what other breakers do


async def _aiobreaker() -> tuple[Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]], Callable[[], None]]:
    aiobreaker = pytest.importorskip("aiobreaker")
    breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(hours=1))
    return breaker.call_async, breaker.half_open


async def _purgatory() -> tuple[Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]], Callable[[], None]]:
    purgatory = pytest.importorskip("purgatory")
    model = pytest.importorskip("purgatory.domain.model")
    breaker = await purgatory.AsyncCircuitBreakerFactory(default_threshold=1).get_breaker("api")

    async def call(function: Callable[[], Awaitable[Any]]) -> None:
        async with breaker:
            await function()

    return call, lambda: breaker.context.set_state(model.HalfOpenedState())


async def _hyx() -> tuple[Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]], Callable[[], None]]:
    api = pytest.importorskip("hyx.circuitbreaker")
    states = pytest.importorskip("hyx.circuitbreaker.states")
    breaker = api.consecutive_breaker(failure_threshold=1, recovery_threshold=1)

    async def call(function: Callable[[], Awaitable[Any]]) -> None:
        async with breaker:
            await function()

    return call, lambda: setattr(breaker._manager, "_state", states.RecoveringState(breaker._manager._config))


@pytest.mark.parametrize("peer", [_aiobreaker, _purgatory, _hyx])
async def test_peers_let_everybody_through_when_half_open(peer: Callable[[], Awaitable[Any]]) -> None:
    """A hundred of a hundred: why our trial calls are counted on their way in."""
    (call, half_open), doors = await peer(), Doors()
    half_open()

    tasks = [asyncio.create_task(call(doors.enter)) for _ in range(100)]
    await settled()

    assert doors.gauge.now == 100
    doors.open.set()
    await asyncio.wait(tasks)


async def test_purgatory_opens_when_calls_are_cancelled() -> None:
    """Why ours are neutral."""
    call, _ = await _purgatory()
    task = asyncio.create_task(call(asyncio.Event().wait))
    await settled()
    task.cancel()
    await asyncio.wait([task])

    with pytest.raises(Exception, match="Circuit api is open"):
        await call(asyncio.Event().wait)


async def test_hyx_closes_when_a_trial_call_is_cancelled() -> None:
    """The other way to be wrong about it."""
    states = pytest.importorskip("hyx.circuitbreaker.states")
    call, half_open = await _hyx()
    half_open()
    task = asyncio.create_task(call(asyncio.Event().wait))
    await settled()
    task.cancel()
    await asyncio.wait([task])

    state = half_open.__closure__[0].cell_contents.state  # type: ignore[attr-defined]
    assert isinstance(state, states.WorkingState)


# --- modes


@pytest.mark.parametrize(("mode", "counted"), [("off", "bypassed"), ("observe", "would_reject")])
def test_unless_it_enforces_the_call_is_made_and_counted(mode: str, counted: str) -> None:
    """And told, at the first of each open period."""
    it = Worked(mode=mode)

    with recorded() as events:
        it.open()
        it.succeed(5)
        it.fail(5)

    now = it.breaker.statistics()
    assert (now.state, now.rejected, getattr(now, counted)) == ("open", 0, 10)
    assert (now.succeeded, now.failed, now.ignored) == (0, 4, 0)
    assert [event.name for event in events] == ["breaker.opened", "breaker.bypassed"]
    assert events[1].details == {"mode": mode, "state": "open"}


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_calls_that_bypass_it_do_not_keep_it_from_recovering(mode: str) -> None:
    """Half open, the trial calls decide; the others are made beside them."""
    it = Worked(mode=mode)
    it.half_open()
    trials, beside = [it.begin() for _ in range(2)], [it.begin() for _ in range(3)]

    for attempt in beside:
        end(attempt, ServiceError())
    assert it.breaker.statistics().trials == 2
    for attempt in trials:
        end(attempt)

    assert it.breaker.state == "closed"
    assert it.breaker.statistics().bypassed + it.breaker.statistics().would_reject == 3


def test_every_open_period_and_every_mode_tells_of_its_first_bypass() -> None:
    """A bypass that goes on for days is found in the latest events."""
    source, it = Source("off", "governed-breaker"), Worked(mode=None)
    set_mode_source(source)

    with recorded() as events:
        it.half_open()
        trials = [it.begin() for _ in range(2)]
        it.succeed()
        for attempt in trials:
            end(attempt, ServiceError())
        it.succeed(2)
        source.turn("observe")
        it.succeed(2)

    told = [(event.details["mode"], event.details["state"]) for event in events if event.name == "breaker.bypassed"]
    assert told == [("off", "half_open"), ("off", "open"), ("observe", "open")]


def test_its_mode_is_the_flags_if_it_is_given_none() -> None:
    """A flip acts on the next call."""
    source, it = Source("off", "governed-breaker"), Worked(mode=None)
    set_mode_source(source)
    it.open()
    it.succeed()
    assert it.breaker.mode is Mode.OFF

    source.turn("enforce")

    with pytest.raises(CircuitOpenError):
        it.begin()


def test_a_flip_does_not_change_what_a_call_on_its_way_counts_for() -> None:
    """A bypassing call stays one, and a trial call stays one."""
    source, it = Source("observe", "governed-breaker"), Worked(mode=None, half_open_calls=1)
    set_mode_source(source)
    it.half_open()
    trial, bypassing = it.begin(), it.begin()
    source.turn("enforce")

    end(bypassing, ServiceError())
    assert it.breaker.state == "half_open"
    end(trial)

    assert it.breaker.state == "closed"


def test_nothing_but_the_mode_switches_it_off() -> None:
    """There is no way to force a state, for a performance test or anything else."""
    public = {name for name in dir(CircuitBreaker) if not name.startswith("_")}

    assert public == {"attempt", "check", "kind", "mode", "name", "state", "statistics"}
    for read_only in ("mode", "state"):
        with pytest.raises(AttributeError):
            setattr(Worked().breaker, read_only, "off")


# --- what it shows


def test_it_tells_of_its_states() -> None:
    """With the numbers that led there."""
    it = Worked(slow_call_seconds=1)

    with recorded() as events:
        it.succeed(seconds=2)
        it.fail(3)
        it.clock.advance(30)
        it.succeed()
        it.fail()
        it.clock.advance(30)
        it.succeed(2)

    assert [(event.name, event.resource, event.details) for event in events] == [
        (
            "breaker.opened",
            "api",
            {"calls": 4, "failed": 3, "slow": 1, "failure_rate": 0.75, "slow_call_rate": 0.25},
        ),
        ("breaker.half_opened", "api", {"trials": 2}),
        (
            "breaker.opened",
            "api",
            {"calls": 2, "failed": 1, "slow": 0, "failure_rate": 0.5, "slow_call_rate": 0.0},
        ),
        ("breaker.half_opened", "api", {"trials": 2}),
        ("breaker.closed", "api", {"calls": 2, "failed": 0, "slow": 0}),
    ]


@pytest.fixture
def listening() -> Iterator[list[bool]]:
    """Ask every breaker for its statistics in another thread, as soon as anything happens."""
    answered: list[bool] = []

    def ask(event: object) -> None:
        thread = threading.Thread(target=lambda: [each.statistics() for each in resources()], daemon=True)
        thread.start()
        thread.join(5)
        answered.append(not thread.is_alive())

    remove = add_listener(ask)
    yield answered
    remove()


def test_no_lock_is_held_while_listeners_are_told(listening: list[bool]) -> None:
    """They may ask the breaker, from any thread."""
    it = Worked(mode="observe")

    it.half_open()
    it.succeed(2)
    it.open()
    it.succeed()

    assert listening == [True] * 5


def test_a_call_may_be_made_while_the_garbage_collector_runs_within_another() -> None:
    """It may run while the breaker's lock is held, in the same thread."""
    it = Worked()

    with it.breaker._lock:
        it.open()

    assert it.breaker.statistics().failed == 4


def test_it_is_among_the_resources() -> None:
    """For monitoring."""
    it = Worked()

    assert it.breaker in resources()
    assert it.breaker.kind == "breaker"
    assert CircuitBreaker().name == "breaker"


def test_its_repr_says_its_mode_and_state() -> None:
    """What people print while they look for the outage."""
    it = Worked()
    shown = [repr(it.breaker)]
    it.succeed(3)
    it.fail()
    shown.append(repr(it.breaker))
    it.fail()
    it.clock.advance(12.5)
    shown.append(repr(it.breaker))
    it.clock.advance(17.5)
    it.begin()
    shown.append(repr(it.breaker))

    assert shown == [
        "<CircuitBreaker 'api' enforce: closed, 0 calls in its window>",
        "<CircuitBreaker 'api' enforce: closed, 25% of 4 calls failed>",
        "<CircuitBreaker 'api' enforce: open, half open in 17.5 s>",
        "<CircuitBreaker 'api' enforce: half_open, 1 of 2 trial calls out>",
    ]


def test_a_subclass_needs_no_dict() -> None:
    """Slots all the way down."""

    class Mine(CircuitBreaker):
        __slots__ = ()

    assert not hasattr(Mine("mine"), "__dict__")
    assert not hasattr(Mine("mine").attempt(), "__dict__")


async def test_it_guards_a_call_that_waits_for_a_limit() -> None:
    """A refusal by the limit is no failure of the service."""
    it, limiter = Worked(), Limiter("narrow", max_running=0)

    for _ in range(10):
        with contextlib.suppress(LimitReachedError):
            async with it.breaker.attempt():
                limiter.acquire_nowait()

    assert (it.breaker.state, it.breaker.statistics().ignored) == ("closed", 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_calls": 5, "window_seconds": 5.0}, "window_calls = 5 and window_seconds = 5.0; allowed is one"),
        *(({key: value}, f"{key} = .*; allowed is a whole number from 1")
          for key in ("window_calls", "minimum_calls", "half_open_calls")
          for value in (0, -1, 1.5, "3", True)),
        *(({key: value}, f"{key} = .*; allowed are seconds above 0")
          for key in ("window_seconds", "slow_call_seconds", "open_seconds", "half_open_seconds")
          for value in (0, -1, float("nan"), float("inf"), "3", True)),
        *(({key: value}, f"{key} = .*; allowed is a share above 0, up to 1")
          for key in ("failure_rate", "slow_call_rate")
          for value in (0, -0.1, 1.1, float("nan"), "0.5", True, None)),
        ({"mode": "on"}, "mode: 'on' is no mode; allowed are off, observe, enforce"),
        ({"is_failure": ServiceError()}, "is_failure = .*; allowed is a function of the exception"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    """The message says where, what and what is allowed."""
    with pytest.raises(ConfigurationError, match=f"breaker 'api': {message}"):
        CircuitBreaker("api", **settings)
