"""How a RetryBudget keeps retries a small share of the calls."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits import ConfigurationError, RetryBudget, resources, retry
from penstock_limits.testing import ManualClock, recorded, run_in_virtual_time


def granted(budget: RetryBudget, asked: int) -> int:
    return sum(budget.take() for _ in range(asked))


def deposit(budget: RetryBudget, calls: int) -> None:
    for _ in range(calls):
        budget.deposit()


def test_a_few_retries_are_granted_to_somebody_who_has_made_no_calls() -> None:
    """`minimum`, or a service with few calls would have no retries."""
    budget = RetryBudget(minimum=3, clock=ManualClock())

    assert granted(budget, 10) == 3


def test_calls_save_retries() -> None:
    """Each a fifth of one."""
    budget = RetryBudget(minimum=0, ratio=0.2, clock=ManualClock())

    deposit(budget, 100)

    assert granted(budget, 100) == 20


def test_what_was_spent_is_forgiven_and_what_was_saved_is_forgotten() -> None:
    """Both ways the balance returns to `minimum`, within a few windows."""
    clock = ManualClock()
    spent, saved = (RetryBudget(minimum=10, window=10, clock=clock) for _ in range(2))
    granted(spent, 10)
    deposit(saved, 1_000_000)
    saved.statistics()

    clock.advance(100)
    assert spent.statistics().balance == pytest.approx(10, rel=0.01)
    clock.advance(100)
    assert saved.statistics().balance == pytest.approx(10, rel=0.01)


def test_a_retry_takes_one_from_the_budget_that_all_share() -> None:
    """Two functions, one target, one budget: by name, one for the process."""
    first, second = retry("chat", budget="openai"), retry("embed", budget="openai")

    assert first.budget is second.budget
    assert first.budget is not None
    assert first.budget.name == "openai"
    assert retry("chat").budget is not retry("chat").budget


def test_a_name_finds_the_budget_that_was_made_with_it() -> None:
    """It may have settings of its own; when nobody uses it any more, it is gone."""
    budget = RetryBudget("provider-with-settings", ratio=0.5)

    assert retry(budget="provider-with-settings").budget is budget
    del budget
    gc.collect()
    assert retry(budget="provider-with-settings").budget is not None


def test_a_service_that_fails_altogether_gets_a_fifth_more_calls_and_not_three_times_as_many() -> None:
    """What the budget is for: without it, 3 attempts make 3,000 calls of 1,000."""
    calls = []

    @retry(attempts=3, base=0, budget=RetryBudget(minimum=10, clock=ManualClock()))
    async def call() -> None:
        calls.append(1)
        raise ConnectionError

    async def main() -> None:
        for _ in range(1000):
            with pytest.raises(ConnectionError):
                await call()

    run_in_virtual_time(main)

    assert len(calls) == 1000 + 10 + 200


@settings(deadline=None)
@given(
    ratio=st.floats(0, 1),
    minimum=st.floats(0, 20),
    window=st.floats(0.1, 60),
    steps=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 30)), max_size=30),
)
def test_retries_never_exceed_their_share_and_the_floor(
    ratio: float, minimum: float, window: float, steps: list[tuple[int, int, float]]
) -> None:
    """The bound in its documentation, for any calls, retries and pauses."""
    clock = ManualClock()
    budget = RetryBudget(ratio=ratio, minimum=minimum, window=window, clock=clock)
    calls = retries = 0

    for made, asked, pause in steps:
        deposit(budget, made)
        calls += made
        retries += granted(budget, asked)
        clock.advance(pause)

        assert retries <= ratio * calls + minimum * (1 + clock() / window) + 1e-6
    now = budget.statistics()
    assert (now.calls, now.granted, now.refused) == (calls, retries, sum(asked for _, asked, _ in steps) - retries)


def test_it_tells_once_that_it_is_spent() -> None:
    """And again when it has recovered in between; never for each refusal."""
    clock = ManualClock()
    budget = RetryBudget("provider", minimum=4, clock=clock)

    with recorded() as events:
        granted(budget, 50)
        deposit(budget, 5)  # one retry more: that is no recovery
        granted(budget, 50)
        clock.advance(100)
        granted(budget, 50)

    assert [(event.name, event.resource) for event in events] == [("retry.budget_spent", "provider")] * 2


def test_threads_lose_nothing() -> None:
    """Calls are counted, and no retry is granted twice."""
    budget = RetryBudget(ratio=0.5, minimum=0, clock=ManualClock())
    taken = []

    def work() -> None:
        for _ in range(1000):
            budget.deposit()
        taken.append(granted(budget, 1000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (budget.statistics().calls, budget.statistics().granted) == (4000, sum(taken))
    assert sum(taken) <= 2000


def test_it_shows_itself() -> None:
    """In the registry, with a kind, and with what is left."""
    budget = RetryBudget("provider", minimum=4, clock=ManualClock())

    assert budget in resources()
    assert (budget.kind, repr(budget)) == ("retry-budget", "<RetryBudget 'provider': 4 retries left>")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("ratio", value) for value in (-0.1, 1.1, float("nan"), True, "1")),
        *(("minimum", value) for value in (-1, float("inf"), True, None)),
        *(("window", value) for value in (0, -1, float("inf"), "1")),
    ],
)
def test_a_wrong_value_is_refused(key: str, value: Any) -> None:
    """The message says where, what and what is allowed."""
    with pytest.raises(ConfigurationError, match=rf"retry budget 'provider': {key} = .*; allowed"):
        RetryBudget("provider", **{key: value})


@pytest.mark.parametrize("budget", ["", 3, True])
def test_what_is_no_budget_is_refused(budget: Any) -> None:
    """Where a retry is made."""
    with pytest.raises(ConfigurationError, match=r"retry 'chat': budget = .*; allowed are a RetryBudget, the name"):
        retry("chat", budget=budget)


def test_the_balance_does_not_depend_on_how_often_it_is_looked_at() -> None:
    """Steady calls save the same, with one look at the end or one after each."""
    clock = ManualClock()
    rarely, often = (RetryBudget(minimum=0, clock=clock) for _ in range(2))
    pauses = random.Random(1)

    for _ in range(1000):
        clock.advance(0.02 + pauses.random() * 0.001)
        deposit(rarely, 1)
        deposit(often, 1)
        often.statistics()

    assert rarely.statistics().balance == pytest.approx(often.statistics().balance, rel=0.02)
