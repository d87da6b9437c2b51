"""How a Hedge starts a slow call once more, and what becomes of the others."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import random
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits import ConfigurationError, Hedge, RetryBudget, hedge, resources, retry, set_mode_source
from penstock_limits._modes import Mode
from penstock_limits.testing import recorded, run_in_virtual_time

from tests.limits.sources import Source


class Replicas:
    """Attempts that take as long, and end as, the test says; knows which were cancelled and which still run."""

    def __init__(self, *attempts: tuple[float, object], stubborn: float = 0.0) -> None:
        self.attempts = attempts
        self.stubborn = stubborn
        self.begun: list[float] = []
        self.cancelled: list[int] = []
        self.running = 0

    async def call(self) -> object:
        number = len(self.begun)
        takes, ends_as = self.attempts[number]
        self.begun.append(asyncio.get_running_loop().time())
        self.running += 1
        try:
            await asyncio.sleep(takes)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            await asyncio.sleep(self.stubborn)
            raise
        finally:
            self.running -= 1
        if isinstance(ends_as, BaseException):
            raise ends_as
        return ends_as


def timed(main: Callable[[], Coroutine[Any, Any, object]]) -> tuple[object, float]:
    """Return a result, or an error, and when it came, in virtual time."""

    async def run() -> tuple[object, float]:
        result: object
        try:
            result = await main()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is
            result = error
        return result, asyncio.get_running_loop().time()

    return run_in_virtual_time(run)


def test_a_call_in_time_is_made_once() -> None:
    """Nothing is started that is not needed."""
    replicas, hedging = Replicas((0.5, "a")), hedge("search", after=1)

    assert timed(lambda: hedging.call(replicas.call)) == ("a", 0.5)
    assert (replicas.begun, hedging.statistics().hedged) == ([0.0], 0)


def test_a_slow_call_is_made_once_more_and_the_first_to_end_wins() -> None:
    """The other is cancelled, and has ended when the result is there."""
    replicas, hedging = Replicas((10, "a"), (0.5, "b")), hedge("search", after=1)

    assert timed(lambda: hedging.call(replicas.call)) == ("b", 1.5)
    assert (replicas.begun, replicas.cancelled, replicas.running) == ([0.0, 1.0], [0], 0)
    statistics = hedging.statistics()
    assert (statistics.calls, statistics.attempts, statistics.hedged, statistics.won) == (1, 2, 1, 1)


def test_the_first_attempt_may_win_after_all() -> None:
    """Both are under way, and it is there first; if both are, too."""
    for second in (5, 0.5):
        replicas = Replicas((1.5, "a"), (second, "b"))

        assert timed(lambda replicas=replicas: hedge(after=1).call(replicas.call)) == ("a", 1.5)  # type: ignore[misc]


def test_attempts_start_one_after_the_other() -> None:
    """Each after the same time, up to their number."""
    replicas = Replicas((100, "a"), (100, "b"), (100, "c"))

    assert timed(lambda: hedge(after=1, attempts=3).call(replicas.call)) == ("a", 100.0)
    assert replicas.begun == [0.0, 1.0, 2.0]


def test_a_failure_in_time_is_raised_at_once() -> None:
    """It is not hedged: to wait and try again is what `retry` is for."""
    error = ConnectionError()
    replicas = Replicas((0.5, error))

    assert timed(lambda: hedge(after=1).call(replicas.call)) == (error, 0.5)
    assert not hasattr(error, "__notes__")


def test_a_failure_waits_for_an_attempt_that_is_under_way() -> None:
    """That may still succeed."""
    replicas = Replicas((2, ConnectionError()), (5, "b"))

    assert timed(lambda: hedge(after=1).call(replicas.call)) == ("b", 6.0)


def test_if_all_fail_the_first_attempts_error_is_raised_with_notes_of_the_others() -> None:
    """What would have been raised without hedging; nothing is lost."""
    first = ConnectionError("a")
    replicas = Replicas((9, first), (2, ValueError("b")))

    assert timed(lambda: hedge("search", after=1).call(replicas.call)) == (first, 9.0)
    assert first.__notes__ == ["hedge 'search': attempt 2 failed too: ValueError('b')"]


def test_an_attempt_that_cancels_itself_has_failed() -> None:
    """The caller was not cancelled, so another's error says more; alone, it is what there is."""
    cancelled, error = asyncio.CancelledError(), ConnectionError()

    both = timed(lambda: hedge(after=1).call(Replicas((5, cancelled), (1, error)).call))
    alone, _ = timed(lambda: hedge(after=1).call(Replicas((0.5, cancelled)).call))

    assert both == (error, 5.0)
    assert isinstance(alone, asyncio.CancelledError)


def test_a_cancelled_caller_cancels_all_attempts_and_waits_for_them() -> None:
    """Nothing runs on unseen."""
    replicas = Replicas((100, "a"), (100, "b"), stubborn=0.5)

    async def main() -> None:
        task = asyncio.create_task(hedge(after=1).call(replicas.call))
        await asyncio.sleep(2)
        task.cancel()
        await task

    error, when = timed(main)

    assert (type(error), when) == (asyncio.CancelledError, 2.5)
    assert (replicas.cancelled, replicas.running) == ([0, 1], 0)


def test_a_loser_that_goes_on_is_told_of_and_left() -> None:
    """The result waits for it, but no longer than `grace`."""
    replicas = Replicas((100, "a"), (0.5, "b"), stubborn=50)
    hedging = hedge("search", after=1, grace=2)

    async def main() -> tuple[object, float]:
        result = await hedging.call(replicas.call)
        when = asyncio.get_running_loop().time()
        assert replicas.running == 1
        gc.collect()  # it is kept alive
        await asyncio.sleep(100)
        return result, when

    with recorded() as events:
        result, _ = timed(main)

    assert result == ("b", 3.5)
    assert (replicas.running, hedging.statistics().stuck) == (0, 1)
    assert [(event.name, event.details) for event in events] == [("hedge.stuck", {"attempts": 1, "seconds": 2.0})]


def test_what_a_loser_fails_with_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It does not count, and does not end up as an exception that was never retrieved."""
    caplog.set_level(logging.INFO)
    replicas = Replicas((1.2, ConnectionError("lost")), (0.5, "b"))

    timed(lambda: hedge("search", after=1).call(replicas.call))
    gc.collect()

    assert [record.getMessage() for record in caplog.records if record.name == "penstock.limits"] == [
        "hedge 'search', attempt 1 does not count, and failed: ConnectionError('lost')"
    ]


def test_attempts_run_in_copies_of_the_callers_context() -> None:
    """They see what the caller has set; what they set is their own."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")

    async def attempt() -> str:
        seen = variable.get()
        variable.set("changed")
        return seen

    async def main() -> tuple[str, str]:
        variable.set("the caller's")
        return await hedge(after=1).call(attempt), variable.get()

    assert timed(main)[0] == ("the caller's", "the caller's")


def test_a_spent_budget_ends_hedging() -> None:
    """A service that is slow altogether does not get twice the calls."""
    hedging = hedge(after=1, budget=RetryBudget(ratio=0, minimum=1))
    replicas = Replicas(*[(5, "slow")] * 10)

    async def main() -> None:
        for _ in range(3):
            await hedging.call(replicas.call)

    timed(main)

    assert len(replicas.begun) == 4
    assert hedging.statistics().budget_refused == 2


def test_off_makes_one_plain_call() -> None:
    """In the caller's own task."""

    async def main() -> bool:
        async def attempt() -> Any:
            await asyncio.sleep(5)
            return asyncio.current_task()

        return await hedge(after=1, mode="off").call(attempt) is asyncio.current_task()

    assert timed(main) == (True, 5.0)


def test_observe_counts_what_would_have_been_hedged() -> None:
    """And makes one plain call; failures that come late count too."""
    hedging = hedge(after=1, mode="observe")
    replicas = Replicas((5, "a"), (0.5, "b"), (5, ConnectionError()))

    for _ in range(3):
        timed(lambda: hedging.call(replicas.call))

    statistics = hedging.statistics()
    assert (statistics.mode, statistics.attempts, statistics.would_hedge) == (Mode.OBSERVE, 3, 2)


def test_the_flag_may_be_turned_while_a_call_is_on_its_way() -> None:
    """Then it is not made once more."""
    source = Source("enforce", "jittered-retry")
    set_mode_source(source)
    replicas = Replicas((5, "a"))

    async def main() -> object:
        asyncio.get_running_loop().call_later(0.5, source.turn, "off")
        return await hedge(after=1, mode=None).call(replicas.call)

    assert timed(main) == ("a", 5.0)


def test_a_retry_around_a_hedge_waits_before_it_tries_again() -> None:
    """The two compose."""
    replicas = Replicas((0.5, ConnectionError()), (9, "b"), (0.5, "c"))

    @retry(random=lambda: 0.5)
    @hedge(after=1)
    async def search() -> object:
        return await replicas.call()

    assert timed(search) == ("c", pytest.approx(0.5 + 0.05 + 1 + 0.5))


def test_it_decorates_coroutine_functions_only() -> None:
    """What runs in a thread cannot be cancelled."""

    @(hedging := hedge(after=1))
    async def search(query: str) -> str:
        """Search."""
        return query

    assert inspect.iscoroutinefunction(search)
    assert (search.__doc__, hedging.name.rpartition(".")[2]) == ("Search.", "search")
    with pytest.raises(ConfigurationError, match="hedge 'search' guards coroutine functions"):
        hedge("search", after=1)(len)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"after": -1}, {"after": float("nan")}, {"attempts": 1}, {"attempts": True}, {"grace": "1"}]
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any]) -> None:
    """The message says where, what and what is allowed."""
    with pytest.raises(ConfigurationError, match=r"hedge 'search': .* = .*; allowed"):
        hedge("search", **{"after": 1, **wrong})


def test_it_shows_itself() -> None:
    """In the registry, with what it does."""
    hedging = hedge("search", after=0.5)

    assert hedging in resources()
    assert (hedging.kind, repr(hedging)) == (
        "hedge",
        "<Hedge 'search' enforce: 2 attempts, each after 0.5 s, 0 of 0 calls hedged>",
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_attempts_may_be_eager_tasks() -> None:
    """Such a task may have ended as soon as it is made."""

    async def main() -> tuple[str, str]:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)

        async def at_once() -> str:
            return "at once"

        return await hedge(after=1).call(at_once), await hedge(after=1).call(asyncio.sleep, 0.5, "later")

    assert timed(main) == (("at once", "later"), 0.5)


def test_a_caller_that_is_cancelled_while_losers_end_still_waits_for_them() -> None:
    """But no longer than `grace` altogether, however often it is cancelled."""
    replicas = Replicas((100, "a"), (0.5, "b"), stubborn=50)

    async def main() -> float:
        task = asyncio.create_task(hedge(after=1, grace=3).call(replicas.call))
        for moment in (2, 1):
            await asyncio.sleep(moment)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.get_running_loop().time()

    assert timed(main)[0] == 1.5 + 3


# --- storms


class LeakyHedge(Hedge):
    """Broken on purpose: does not end the losers."""

    __slots__ = ()

    async def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        tasks = [asyncio.ensure_future(function(*args, **kwargs)) for _ in range(2)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()


def storm(seed: int, make: Callable[..., Hedge]) -> None:
    """Hedge many calls, cancel some, and check after each that none of its attempts runs on."""
    chance = random.Random(seed)
    hedging = make(after=1, attempts=chance.randint(2, 4), grace=1000, budget=None)

    def attempt() -> tuple[float, object]:
        return chance.choice([0, 0.5, 1, 1.5, 3]), chance.choice(["done", "done", ConnectionError()])

    async def call() -> None:
        replicas = Replicas(*(attempt() for _ in range(4)), stubborn=chance.choice([0, 0, 2]))
        task = asyncio.create_task(hedging.call(replicas.call))
        if chance.random() < 0.3:
            asyncio.get_running_loop().call_later(chance.choice([0, 0.5, 1, 1.5]), task.cancel)
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert replicas.running == 0, "an attempt runs on"
        if isinstance(outcome, ConnectionError):
            assert not any(end == "done" and takes == 0 for takes, end in replicas.attempts[:1])

    async def main() -> None:
        await asyncio.gather(*(call() for _ in range(30)))

    run_in_virtual_time(main)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_attempt_outlives_its_call(seed: int) -> None:
    """Whatever ends when, fails, or is cancelled."""
    storm(seed, hedge)


def test_the_storm_notices_a_hedge_that_leaks() -> None:
    """Or it would be worth nothing."""
    with pytest.raises(AssertionError, match="an attempt runs on"):
        storm(1, LeakyHedge)
