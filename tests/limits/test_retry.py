"""How a Retry tries again, when it gives up, and what it never does."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import random
import socket
import ssl
import threading
import time
import urllib.error
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent import futures
from email.message import Message
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits import (
    AcquireTimeoutError,
    CallTimeoutError,
    CircuitOpenError,
    ConfigurationError,
    Event,
    QueueFullError,
    Retry,
    RetryBudget,
    backoff_delay,
    is_transient,
    resources,
    retry,
    set_mode_source,
)
from penstock_limits._modes import Mode
from penstock_limits._retries.attempts import Attempt
from penstock_limits.testing import ManualClock, recorded, run_in_virtual_time

from tests.limits.sources import Source


class ServiceError(Exception):
    """What an HTTP client raises for a status."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.response = SimpleNamespace(
            status_code=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


class Service:
    """Fails as it is told, then succeeds; knows when it was called."""

    def __init__(self, *errors: BaseException, takes: float = 0.0, forever: bool = False) -> None:
        self.errors = itertools.cycle(errors) if forever else iter(errors)
        self.takes = takes
        self.times: list[float] = []

    async def call(self, answer: object = "done") -> object:
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        for error in self.errors:
            raise error
        return answer


def raised(main: Callable[[], Coroutine[Any, Any, object]]) -> tuple[BaseException, float]:
    """Return what a coroutine raises, and when, in virtual time."""

    async def run() -> tuple[BaseException, float]:
        try:
            await main()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            return error, asyncio.get_running_loop().time()
        raise AssertionError("it succeeded")

    return run_in_virtual_time(run)


def failing(retrying: Retry, service: Service) -> tuple[BaseException, float]:
    """Return what a call raises, and when, in virtual time."""
    return raised(lambda: retrying.call(service.call))


def events_of(events: list[Event], name: str) -> list[Any]:
    return [event.details["reason"] for event in events if event.name == name]


# --- trying again


def test_a_call_is_tried_again_until_it_succeeds() -> None:
    """With its arguments and its result, after random delays below doubling bounds."""
    service = Service(ConnectionError(), ServiceError(503))

    @retry("search", random=lambda: 0.5)
    async def search(query: str) -> object:
        return await service.call(query)

    result = run_in_virtual_time(lambda: search("lions"))

    assert result == "lions"
    assert service.times == pytest.approx([0.0, 0.05, 0.15])


def test_the_error_itself_is_raised_with_a_note_when_the_attempts_are_used_up() -> None:
    """Nobody has to unwrap a RetryError; the note says how hard it was tried."""
    service = Service(*(first := [ConnectionError("a"), ConnectionError("b"), ConnectionError("c")]))

    with recorded() as events:
        error, _ = failing(retry("search", random=lambda: 0.5), service)

    assert error is first[2]
    assert error.__notes__ == ["retry 'search' gave up after 3 attempts in 0.15 s: attempts = 3"]
    assert (error.__context__, error.__cause__) == (None, None)
    assert events_of(events, "retry.gave_up") == ["attempts"]


def test_an_error_that_is_not_to_be_retried_goes_through_untouched() -> None:
    """No note, no delay, no event."""
    service = Service(ValueError())

    with recorded() as events:
        error, when = failing(retry("search"), service)

    assert (type(error), when, len(service.times), events) == (ValueError, 0.0, 1, [])
    assert not hasattr(error, "__notes__")


def test_notes_do_not_pile_up_on_an_error_that_is_raised_again_and_again() -> None:
    """A client may keep one error object for all calls."""
    error = ConnectionError()
    error.add_note("its own")
    retrying = retry("search", budget=None)

    for _ in range(3):
        failing(retrying, Service(error, forever=True))

    assert [note[:23] for note in error.__notes__] == ["its own", "retry 'search' gave up "]


def test_an_error_that_takes_no_notes_is_raised_without() -> None:
    """A frozen dataclass refuses every attribute; its error still arrives."""

    class FrozenError(ConnectionError):
        def add_note(self, note: str) -> None:
            raise AttributeError("frozen")

    error, _ = failing(retry(), Service(FrozenError(), forever=True))

    assert type(error) is FrozenError


def test_a_loop_makes_attempts_of_a_block() -> None:
    """`async for`, with `with` or `async with`."""
    retrying, numbers = retry("search", random=lambda: 0.5), []

    async def main() -> float:
        async for attempt in retrying:
            async with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise ConnectionError
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == pytest.approx(0.15)
    assert numbers == [1, 2, 3]
    assert (retrying.statistics().calls, retrying.statistics().attempts, retrying.statistics().retried) == (1, 3, 1)


def test_a_loop_raises_the_error_itself_when_the_attempts_are_used_up() -> None:
    """As the decorator does."""

    async def main() -> None:
        async for attempt in retry("search", attempts=2):
            with attempt:
                raise ConnectionError(attempt.number)

    with pytest.raises(ConnectionError, match="2") as caught:
        run_in_virtual_time(main)

    assert caught.value.__notes__[0].startswith("retry 'search' gave up after 2 attempts")


def test_a_loop_may_be_left_by_return_and_break() -> None:
    """Both end the call, and leave no timer behind."""

    async def main() -> tuple[str, float]:
        async for attempt in retry(total_timeout=10):
            with attempt:
                break
        async for attempt in retry(total_timeout=10):
            with attempt:
                await asyncio.sleep(0)
                return "done", asyncio.get_running_loop().time()
        raise AssertionError

    assert run_in_virtual_time(main) == ("done", 0.0)


def test_a_loop_whose_attempt_is_not_entered_says_so() -> None:
    """It would make one attempt, or never end."""

    async def forgetful() -> None:
        async for _ in retry("search"):
            pass

    async def twice() -> None:
        async for attempt in retry("search"):
            with attempt, attempt:
                pass

    with pytest.raises(RuntimeError, match=r"enter each attempt of retry 'search': `with attempt:`"):
        run_in_virtual_time(forgetful)
    with pytest.raises(RuntimeError, match="attempt 1 of retry 'search' is over"):
        run_in_virtual_time(twice)


def test_threads_are_served_likewise() -> None:
    """The decorator of a plain function, and a plain loop."""
    clock = ManualClock()
    retrying = retry("search", clock=clock, sleep=clock.advance, random=lambda: 0.5)
    errors = iter([ConnectionError(), ConnectionError()])

    @retrying
    def search(query: str) -> str:
        for error in errors:
            raise error
        return query

    assert (search("lions"), clock()) == ("lions", pytest.approx(0.15))
    numbers = []
    for attempt in retrying:
        with attempt:
            numbers.append(attempt.number)
            if attempt.number == 1:
                raise ConnectionError
    assert (numbers, retrying.statistics().attempts) == ([1, 2], 5)


async def test_a_thread_with_a_running_event_loop_is_not_put_to_sleep() -> None:
    """It would block every other task: the error is raised at once, and the note says why."""
    calls = []

    @retry("search", sleep=lambda _: calls.append("slept"))
    def search() -> None:
        calls.append("called")
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        search()

    assert calls == ["called"]
    assert "would block the running event loop" in caught.value.__notes__[0]


def test_methods_stay_methods_and_coroutine_functions_stay_coroutine_functions() -> None:
    """Frameworks look at that; the name and the signature stay, too."""

    class Client:
        @retry()
        async def fetch(self, url: str) -> str:
            """Fetch it."""
            return url

        @retry()
        def fetch_blocking(self, url: str) -> str:
            return url

    assert inspect.iscoroutinefunction(Client.fetch)
    assert not inspect.iscoroutinefunction(Client.fetch_blocking)
    assert (Client.fetch.__name__, Client.fetch.__doc__) == ("fetch", "Fetch it.")
    assert list(inspect.signature(Client.fetch).parameters) == ["self", "url"]
    assert asyncio.run(Client().fetch("a")) == "a"
    assert Client().fetch_blocking("b") == "b"


def test_an_object_with_an_asynchronous_call_is_a_coroutine_function() -> None:
    """Its failures happen when it is awaited, and are retried there."""
    service = Service(ConnectionError())

    class Agent:
        async def __call__(self) -> object:
            return await service.call()

    assert run_in_virtual_time(retry()(Agent())) == "done"


# --- what is never retried


def test_cancellation_is_never_retried() -> None:
    """It goes through at once, in an attempt and in a delay."""

    async def main() -> None:
        for moment in (0.5, 1.5):
            service = Service(ConnectionError(), takes=1.0, forever=True)
            task = asyncio.create_task(retry(base=10.0, random=lambda: 0.5).call(service.call))
            await asyncio.sleep(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(service.times) == 1

    run_in_virtual_time(main)


def test_what_a_cancelled_function_makes_of_its_cancellation_is_not_retried() -> None:
    """A clean-up that fails must not start the work anew in a task that was told to stop."""
    calls = []

    @retry(on=Exception)
    async def work() -> None:
        calls.append(1)
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise ConnectionError("the clean-up failed") from None

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(ConnectionError):
            await task

    run_in_virtual_time(main)

    assert calls == [1]


def test_a_task_that_was_cancelled_before_may_retry() -> None:
    """Its clean-up is a call like any other."""
    service = Service(ConnectionError())

    async def main() -> object:
        async def work() -> object:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                return await retry().call(service.call, "saved")

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        return await task

    assert run_in_virtual_time(main) == "saved"


def test_a_cancelled_future_of_a_thread_pool_is_not_retried() -> None:
    """`concurrent.futures` has an Exception for it."""
    calls = []

    @retry(on=Exception)
    def work() -> None:
        calls.append(1)
        raise futures.CancelledError

    with pytest.raises(futures.CancelledError):
        work()

    assert calls == [1]


@pytest.mark.parametrize(
    "on",
    [BaseException, asyncio.CancelledError, futures.CancelledError, (OSError, KeyboardInterrupt), int, 3, "OSError"],
)
def test_retrying_a_cancellation_is_refused(on: Any) -> None:
    """When the retry is made, not when it happens."""
    with pytest.raises(ConfigurationError, match=r"retry 'search': on = .*; allowed are"):
        retry("search", on=on)


def test_a_coroutine_function_as_predicate_is_refused() -> None:
    """Its answer would always be true."""

    async def tells(error: Exception) -> bool:
        return False

    with pytest.raises(ConfigurationError, match="a function that tells at once"):
        retry(on=tells)  # type: ignore[arg-type]


def test_a_predicate_that_fails_is_heard() -> None:
    """Its error is raised, with the original as context."""

    def tells(error: Exception) -> bool:
        raise KeyError("oops")

    original = ConnectionError()
    error, _ = failing(retry(on=tells), Service(original))

    assert isinstance(error, KeyError)
    assert error.__context__ is original


@pytest.mark.parametrize("tells", [lambda error: isinstance(error, ValueError), ValueError, (KeyError, ValueError)])
def test_on_says_what_is_retried(tells: Any) -> None:
    """A function, a class, or classes."""
    service = Service(ValueError(), TypeError())

    error, _ = failing(retry(on=tells), service)

    assert (type(error), len(service.times)) == (TypeError, 2)


class APIConnectionError(Exception):
    """As openai names it."""


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        socket.gaierror(-3, "try again"),
        ssl.SSLError("bad record"),
        asyncio.IncompleteReadError(b"", 1),
        APIConnectionError(),
        OSError(113, "no route to host"),
        OSError("Multiple exceptions: [Errno 111] refused, [Errno 111] refused"),
        urllib.error.URLError(ConnectionRefusedError()),
        urllib.error.HTTPError("", 503, "", Message(), None),
        CallTimeoutError("policy", "attempt_timeout", 1.0),
        *map(ServiceError, (408, 425, 429, 500, 502, 503, 504, 529)),
    ],
)
def test_by_default_what_another_attempt_may_mend_is_retried(error: Exception) -> None:
    """Timeouts, connections, busy services; of any client."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        futures.CancelledError(),
        KeyboardInterrupt(),
        ValueError(),
        FileNotFoundError(),
        OSError("disk full"),
        ssl.SSLCertVerificationError(),
        QueueFullError("api", 1, 1),
        CircuitOpenError("api", "open", 1.0),
        *map(ServiceError, (301, 400, 401, 404, 409, 422, 501)),
    ],
)
def test_by_default_what_no_attempt_mends_is_not_retried(error: BaseException) -> None:
    """Mistakes, refusals, and our own limits above all: a full queue must not be asked again."""
    assert not is_transient(error)


def _generator() -> Any:
    yield


async def _async_generator() -> Any:
    yield


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_generator, "what it has yielded cannot be taken back"),
        (_async_generator, "what it has yielded cannot be taken back"),
        (staticmethod(len), "write it below @staticmethod"),
        (3, "cannot be called"),
    ],
)
def test_what_cannot_be_called_again_is_refused(function: Any, says: str) -> None:
    """With a reason."""
    with pytest.raises(ConfigurationError, match=says):
        retry()(function)


def test_a_decorator_without_parentheses_says_so() -> None:
    """It would take the function for its name."""
    with pytest.raises(ConfigurationError, match=r"write `@retry\(\)`"):
        retry(len)  # type: ignore[arg-type]


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3", None])
def test_a_wrong_number_of_attempts_is_refused(attempts: Any) -> None:
    """The message says where, what and what is allowed."""
    with pytest.raises(ConfigurationError, match=r"retry 'api': attempts = .*; allowed is a whole number from 1"):
        retry("api", attempts=attempts)


@pytest.mark.parametrize("key", ["total_timeout", "base", "cap"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "1"])
def test_wrong_seconds_are_refused(key: str, value: Any) -> None:
    """Likewise."""
    with pytest.raises(ConfigurationError, match=rf"retry 'api': {key} = .*; allowed are seconds"):
        retry("api", **{key: value})


# --- delays


@given(
    attempt=st.integers(0, 10**30),
    base=st.floats(0, 1e308),
    cap=st.floats(0, 1e308),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_stays_between_nothing_and_the_cap(attempt: int, base: float, cap: float, chance: float) -> None:
    """For any number of attempts, however large."""
    delay = backoff_delay(attempt, base=base, cap=cap, random=lambda: chance)

    assert 0 <= delay <= cap
    assert delay <= base * 2.0 ** min(attempt, 1000)


@pytest.mark.parametrize("wrong", [{"attempt": -1}, {"attempt": 1.0}, {"base": -1}, {"cap": float("nan")}])
def test_a_wrong_delay_is_refused(wrong: dict[str, Any]) -> None:
    """The message says what is allowed."""
    with pytest.raises(ConfigurationError, match=r"backoff_delay: .* = .*; allowed"):
        backoff_delay(**{"attempt": 0, **wrong})


def test_callers_that_failed_together_do_not_come_back_together() -> None:
    """Peers without jitter come back in lockstep: tenacity's wait_exponential does, by default."""
    chance = random.Random(1)

    def returns(retrying: Retry) -> list[float]:
        services = [Service(ConnectionError()) for _ in range(100)]

        async def main() -> None:
            await asyncio.gather(*(retrying.call(service.call) for service in services))

        run_in_virtual_time(main)
        return [service.times[1] for service in services]

    times = returns(retry(base=1.0, budget=None, random=chance.random))

    assert len(set(times)) == 100
    assert max(sum(moment <= time < moment + 0.1 for time in times) for moment in times) < 25


def test_retry_after_is_waited_for_and_a_little_longer() -> None:
    """At least so long; by chance longer, as others were told the same."""
    service = Service(ServiceError(429, retry_after="7"))
    retrying = retry(random=lambda: 0.5)

    run_in_virtual_time(lambda: retrying.call(service.call))

    assert service.times == pytest.approx([0.0, 7.05])
    assert retrying.statistics().retry_after_honoured == 1
    assert retrying.statistics().delayed_seconds == pytest.approx(7.05)


@pytest.mark.parametrize("header", ["60", formatdate(time.time() + 3600, usegmt=True)], ids=["seconds", "date"])
def test_a_retry_after_that_does_not_fit_is_not_waited_for(header: str) -> None:
    """The caller is told at once, by the error itself: an attempt before that moment would be in vain."""
    service = Service(ServiceError(503, retry_after=header))

    error, when = failing(retry("search", total_timeout=45), service)

    assert (type(error), when, len(service.times)) == (ServiceError, 0.0, 1)
    assert "would not begin within total_timeout = 45 s" in error.__notes__[0]


# --- total time


def test_the_first_attempt_is_ended_by_the_total_timeout() -> None:
    """There is no other error, so it is a TimeoutError; the task is not left cancelled."""
    retrying = retry("search", total_timeout=5)

    async def main() -> tuple[BaseException, float, int]:
        with pytest.raises(TimeoutError, match=r"retry 'search': total_timeout = 5 s is over") as caught:
            await retrying.call(asyncio.sleep, 100)
        task = asyncio.current_task()
        assert task is not None
        return caught.value, asyncio.get_running_loop().time(), task.cancelling()

    with recorded() as events:
        error, when, cancelling = run_in_virtual_time(main)

    assert (when, cancelling, type(error.__cause__)) == (5.0, 0, asyncio.CancelledError)
    assert (retrying.statistics().timed_out, events_of(events, "retry.gave_up")) == (1, ["late"])


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_a_later_attempt_is_ended_and_the_error_before_it_is_raised(form: str) -> None:
    """What the service said tells more than that the time is over; the note tells that."""
    original = ConnectionError("refused")
    retrying = retry("search", total_timeout=5, random=lambda: 0.5)
    attempts = iter([True, False])

    async def attempt_once() -> None:
        if next(attempts):
            raise original
        await asyncio.sleep(100)

    async def loop() -> None:
        async for attempt in retrying:
            with attempt:
                await attempt_once()

    async def main() -> float:
        with pytest.raises(ConnectionError) as caught:
            await (retrying.call(attempt_once) if form == "decorator" else loop())
        assert caught.value is original
        assert (original.__context__, original.__cause__) == (None, None)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == pytest.approx(5.0)
    assert original.__notes__ == ["retry 'search' gave up after 2 attempts in 5 s: total_timeout = 5 s ended the last"]


def test_a_cancellation_from_outside_is_not_taken_for_the_total_timeout() -> None:
    """Also if the time ends while the cancelled attempt cleans up."""

    async def slow_to_stop() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(2)

    async def main() -> None:
        task = asyncio.create_task(retry(total_timeout=5).call(slow_to_stop))
        await asyncio.sleep(4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_in_virtual_time(main)


def test_a_result_that_comes_in_spite_of_the_total_timeout_is_not_lost() -> None:
    """As with asyncio.timeout: the attempt has swallowed its cancellation."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "done"
        raise AssertionError

    async def main() -> tuple[str, int]:
        result = await retry(total_timeout=5).call(stubborn)
        task = asyncio.current_task()
        assert task is not None
        return result, task.cancelling()

    assert run_in_virtual_time(main) == ("done", 0)


def test_a_thread_begins_no_attempt_after_the_total_timeout() -> None:
    """Even if its sleep took longer than it should."""
    clock, calls = ManualClock(), []

    @retry("search", total_timeout=5, attempts=9, clock=clock, sleep=lambda _: clock.advance(6), random=lambda: 0.5)
    def search() -> None:
        calls.append(clock())
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        search()

    assert calls == [0.0]
    assert "would not begin within total_timeout = 5 s" in caught.value.__notes__[0]


class ForgetfulRetry(Retry):
    """Broken on purpose: lets late attempts run on, and begins others."""

    __slots__ = ()

    def _ends_late(self) -> bool:
        return False

    def _obstacle(self, call: Any, delay: float) -> str | None:
        return "attempts" if call.attempts >= self._attempts else None

    def _check_late(self, call: Any) -> None:
        pass


def spend_time(
    make: Callable[..., Retry],
    total: float,
    attempts: int,
    base: float,
    takes: list[float],
    pauses: list[str],
    seed: int,
) -> None:
    """Make a call and a loop that fail, and check how long they take and how often they try."""
    retrying = make(total_timeout=total, attempts=attempts, base=base, random=random.Random(seed).random)
    begun: list[float] = []

    async def attempt_once() -> None:
        number = len(begun)
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(takes[number])
        raise ServiceError(503, retry_after=pauses[number])

    async def loop() -> None:
        async for attempt in retrying:
            with attempt:
                await attempt_once()

    for form in (lambda: retrying.call(attempt_once), loop):
        begun.clear()
        error, when = raised(form)
        assert isinstance(error, (ServiceError, TimeoutError))
        assert when <= total + 1e-6, "it took too long"
        assert 1 <= len(begun) <= attempts
        assert begun[-1] < total
    statistics = retrying.statistics()
    assert (statistics.calls, statistics.gave_up) == (2, 2)


@settings(max_examples=150, deadline=None)
@given(
    total=st.floats(0.01, 60),
    attempts=st.integers(1, 8),
    base=st.floats(0, 5),
    takes=st.lists(st.floats(0, 30), min_size=8, max_size=8),
    pauses=st.lists(st.sampled_from(["", "1", "20", "-1", "nan"]), min_size=8, max_size=8),
    seed=st.integers(0, 1000),
)
def test_the_total_time_is_never_exceeded(
    total: float, attempts: int, base: float, takes: list[float], pauses: list[str], seed: int
) -> None:
    """Whatever attempts take and services ask for; and never more attempts than allowed."""
    spend_time(retry, total, attempts, base, takes, pauses, seed)


def test_the_test_of_the_total_time_notices_a_retry_that_forgets_it() -> None:
    """Or it would be worth nothing."""
    with pytest.raises(AssertionError, match="it took too long"):
        spend_time(ForgetfulRetry, 10.0, 3, 1.0, [20.0] * 8, [""] * 8, 1)


# --- many at once


@settings(max_examples=50, deadline=None)
@given(failures=st.lists(st.integers(0, 4), min_size=1, max_size=12), seed=st.integers(0, 1000))
def test_concurrent_calls_share_no_state(failures: list[int], seed: int) -> None:
    """Every task sees its own attempts only, with the decorator and the loop of one object."""
    retrying = retry(attempts=4, budget=None, random=random.Random(seed).random)

    async def loop(number: int) -> list[int]:
        seen = []
        async for attempt in retrying:
            with attempt:
                seen.append(attempt.number)
                await asyncio.sleep(0.01)
                if attempt.number <= failures[number]:
                    raise ConnectionError(number)
        return seen

    async def decorated(number: int) -> list[int]:
        seen: list[int] = []

        async def attempt_once() -> list[int]:
            seen.append(len(seen) + 1)
            await asyncio.sleep(0.01)
            if len(seen) <= failures[number]:
                raise ConnectionError(number)
            return seen

        return await retrying.call(attempt_once)

    async def main() -> list[Any]:
        calls = [make(number) for number in range(len(failures)) for make in (loop, decorated)]
        return await asyncio.gather(*calls, return_exceptions=True)

    for number, outcome in enumerate(run_in_virtual_time(main)):
        failed = failures[number // 2]
        if failed < 4:
            assert outcome == list(range(1, failed + 2))
        else:
            assert outcome.args == (number // 2,)


def test_tenacity_mixes_the_attempts_of_tasks_and_we_do_not() -> None:
    """The peer's defect that the test above is about: one AsyncRetrying object, two tasks."""
    tenacity = pytest.importorskip("tenacity")

    async def numbers(retrying: Any, number_of: Callable[[Any], int]) -> list[list[int]]:
        async def loop() -> list[int]:
            seen = []
            async for attempt in retrying:
                with attempt:
                    seen.append(number_of(attempt))
                    await asyncio.sleep(0)
                    if len(seen) < 2:
                        raise ConnectionError
            return seen

        return await asyncio.gather(loop(), loop())

    theirs = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(9))

    assert asyncio.run(numbers(theirs, lambda attempt: attempt.retry_state.attempt_number)) != [[1, 2], [1, 2]]
    assert asyncio.run(numbers(retry(base=0), lambda attempt: attempt.number)) == [[1, 2], [1, 2]]


def test_tenacity_swallows_a_cancellation_and_we_do_not() -> None:
    """`retry_if_not_exception_type` takes a cancellation for an error like others."""
    tenacity = pytest.importorskip("tenacity")

    async def cancelled(decorate: Callable[[Any], Callable[[], Awaitable[str]]]) -> str:
        calls = []

        async def work() -> str:
            calls.append(1)
            if len(calls) == 1:
                await asyncio.sleep(100)
            return "went on"

        task = asyncio.ensure_future(decorate(work)())
        await asyncio.sleep(0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return "stopped"

    theirs = tenacity.retry(retry=tenacity.retry_if_not_exception_type(ValueError))

    assert asyncio.run(cancelled(theirs)) == "went on"
    assert asyncio.run(cancelled(retry(on=lambda error: not isinstance(error, ValueError)))) == "stopped"


def test_one_object_serves_several_event_loops_and_threads() -> None:
    """Each loop has its own timers; no call is counted twice or lost."""
    retrying = retry(total_timeout=30, budget=None, base=0)

    def work() -> None:
        async def main() -> None:
            for _ in range(20):
                await retrying.call(Service(ConnectionError()).call)

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    statistics = retrying.statistics()
    assert (statistics.calls, statistics.attempts, statistics.retried, statistics.gave_up) == (80, 160, 80, 0)


def test_nothing_keeps_an_error_alive_when_its_call_is_over() -> None:
    """Without waiting for the garbage collector: tracebacks hold whatever the service returned."""

    class LoudError(ConnectionError):
        pass

    seen: list[weakref.ref[LoudError]] = []

    def fails() -> LoudError:
        error = LoudError()
        seen.append(weakref.ref(error))
        return error

    async def main() -> None:
        calls = 0

        async def attempt_once() -> None:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise fails()

        await retry(base=0).call(attempt_once)
        calls = 0
        async for attempt in retry(base=0):
            with attempt:
                await attempt_once()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        assert [reference() for reference in seen] == [None] * 4
    finally:
        gc.enable()


def test_a_total_timeout_ends_who_makes_the_attempt_and_not_who_began_the_loop() -> None:
    """A generator of attempts may be driven by one task, and its attempts made in another."""

    async def attempts() -> AsyncIterator[Attempt]:
        async for attempt in retry(total_timeout=5, attempts=3):
            yield attempt

    async def main() -> float:
        driven = attempts()
        with await asyncio.ensure_future(anext(driven)):
            await asyncio.sleep(100)
        ended = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError, match="total_timeout = 5 s is over"):
            await anext(driven)
        return ended

    assert run_in_virtual_time(main) == 5.0


def test_a_call_without_a_loop_says_so() -> None:
    """Driven by hand, as other libraries might."""
    for total_timeout in (5, None):
        with pytest.raises(RuntimeError, match="no running event loop"):
            retry(total_timeout=total_timeout).call(asyncio.sleep, 0).send(None)


def test_a_loop_that_is_closed_leaves_nothing_behind() -> None:
    """A call that hangs is dropped with its loop, though the retry goes on in others."""
    retrying = retry(total_timeout=500)
    loop = asyncio.new_event_loop()
    task = loop.create_task(retrying.call(asyncio.Event().wait))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    task._log_destroy_pending = False
    dropped = weakref.ref(loop), weakref.ref(task)
    del loop, task

    asyncio.run(retrying.call(asyncio.sleep, 0))
    gc.collect()

    assert [each() for each in dropped] == [None, None]


# --- modes


def test_off_makes_one_plain_call() -> None:
    """No retry, no deadline, no note: what the code did before."""
    retrying = retry(total_timeout=5, mode="off")
    service = Service(ConnectionError(), takes=100)

    error, when = failing(retrying, service)

    assert (type(error), when, len(service.times)) == (ConnectionError, 100.0, 1)
    assert not hasattr(error, "__notes__")
    assert (retrying.statistics().calls, retrying.statistics().gave_up) == (1, 0)


def test_observe_makes_one_plain_call_and_counts_what_it_would_have_done() -> None:
    """The delays too, and calls that were too slow."""
    retrying = retry(total_timeout=5, mode="observe", random=lambda: 0.5)

    failing(retrying, Service(ServiceError(429, retry_after="2")))
    _, when = failing(retrying, Service(ConnectionError(), takes=100))

    statistics = retrying.statistics()
    assert (when, statistics.mode, statistics.attempts) == (100.0, Mode.OBSERVE, 2)
    assert (statistics.would_retry, statistics.would_time_out) == (1, 1)
    assert statistics.would_delay_seconds == pytest.approx(2.05)
    assert retrying.budget is not None
    assert retrying.budget.statistics().granted == 0


def test_observe_does_not_fail_where_its_predicate_does() -> None:
    """It changes nothing."""

    def tells(error: Exception) -> bool:
        raise KeyError

    error, _ = failing(retry(on=tells, mode="observe"), Service(ConnectionError()))

    assert isinstance(error, ConnectionError)


def test_without_a_mode_of_its_own_it_follows_the_flag() -> None:
    """Also while a call is on its way: the next failure is the last."""
    source = Source("enforce", "jittered-retry")
    set_mode_source(source)
    retrying = retry(mode=None, attempts=9, budget=None)
    calls = []

    async def attempt_once() -> None:
        calls.append(1)
        if len(calls) == 3:
            source.turn("off")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run_in_virtual_time(lambda: retrying.call(attempt_once))

    assert (len(calls), retrying.mode) == (3, Mode.OFF)


def test_a_call_that_became_late_before_the_flag_was_turned_is_not_ended() -> None:
    """The mode counts at the moment when its time is over."""
    source = Source("enforce", "jittered-retry")
    set_mode_source(source)
    retrying = retry(mode=None, total_timeout=5)

    async def main() -> str:
        asyncio.get_running_loop().call_later(4, source.turn, "off")
        return await retrying.call(asyncio.sleep, 100, "done")

    assert run_in_virtual_time(main) == "done"


# --- showing itself


def test_it_shows_itself() -> None:
    """In the registry, with a name that the function gives it, and what it does."""

    @(retrying := retry(attempts=2, total_timeout=9))
    async def fetch() -> None:
        """Fetch."""

    assert retrying in resources()
    assert (retrying.kind, retrying.name.rpartition(".")[2]) == ("retry", "fetch")
    assert retrying.budget is not None
    assert retrying.budget.name == retrying.name
    assert repr(retry("api", attempts=2, total_timeout=9)) == (
        "<Retry 'api' enforce: 2 attempts within 9 s, 0 of 0 calls retried>"
    )
    assert repr(retry("api", total_timeout=None, mode="off")) == "<Retry 'api' off: 3 attempts, 0 of 0 calls retried>"


def test_a_spent_budget_ends_a_call() -> None:
    """With a note that names it, and counted."""
    retrying = retry("search", budget=RetryBudget("provider", ratio=0, minimum=1))
    service = Service(ConnectionError(), forever=True)

    with recorded() as events:
        error, _ = failing(retrying, service)

    assert len(service.times) == 2
    assert error.__notes__[0].endswith("the retry budget 'provider' is spent")
    assert (retrying.statistics().gave_up, retrying.statistics().budget_refused) == (1, 1)
    assert [event.name for event in events] == ["retry.budget_spent", "retry.gave_up"]


@pytest.mark.parametrize(
    ("on", "attempts"), [(TimeoutError, 1), ((ConnectionError, TimeoutError), 1), (AcquireTimeoutError, 3)]
)
def test_a_refusal_of_ours_is_retried_by_who_names_it(on: Any, attempts: int) -> None:
    """It is a TimeoutError, too; but a limit that is full is not to be asked again at once."""
    service = Service(AcquireTimeoutError("provider", 1, 1.0), forever=True)

    error, _ = raised(lambda: Retry(on=on).call(service.call))

    assert isinstance(error, AcquireTimeoutError)
    assert len(service.times) == attempts
