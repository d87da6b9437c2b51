"""What an adaptive limit learns from, what it does with it, and that it finds a capacity nobody told it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from penstock_limits import (
    AdaptiveLimit,
    Aimd,
    ConfigurationError,
    LatencyGradient,
    LimitAlgorithm,
    Limiter,
    Outcome,
    Sample,
    resources,
)
from penstock_limits.testing import ManualClock, recorded

from benchmarks.simulation._scenarios import SCENARIOS, PlainGradient2, Scenario, judge

BY_TITLE = {scenario.title: scenario for scenario in SCENARIOS}


class Fixed:
    """An algorithm that says what the test says."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.samples: list[Sample] = []

    def update(self, sample: Sample) -> str | None:
        self.samples.append(sample)
        return "told"


def feed(algorithm: LimitAlgorithm, calls: int, seconds: float, in_flight: int, *, dropped: bool = False) -> None:
    for _ in range(calls):
        algorithm.update(Sample(seconds, in_flight, dropped))


# --- the feedback


async def test_a_call_is_timed_without_its_wait_and_reported() -> None:
    """With how many were running."""
    clock, algorithm = ManualClock(), Fixed(2)
    adaptive = AdaptiveLimit(Limiter("service", max_running=2), algorithm, clock=clock)

    async with adaptive.attempt():
        clock.advance(3.0)
    with adaptive.attempt():
        clock.advance(1.0)

    assert algorithm.samples == [Sample(3.0, 1), Sample(1.0, 1)]


async def test_latency_counts_per_token_where_the_caller_says_them() -> None:
    """A long answer is not a slow one."""
    clock, algorithm = ManualClock(), Fixed(2)
    adaptive = AdaptiveLimit(Limiter("service", max_running=2), algorithm, clock=clock)

    async with adaptive.attempt() as attempt:
        clock.advance(6.0)
        attempt.output_tokens = 300

    assert algorithm.samples == [Sample(0.02, 1)]


async def test_the_limiter_follows_the_algorithm() -> None:
    """Rounded, and it is told."""
    algorithm, limiter = Fixed(4.4), Limiter("service", max_running=20)
    adaptive = AdaptiveLimit(limiter, algorithm)
    assert limiter.max_running == 4

    algorithm.limit = 7.6
    with recorded() as events:
        async with adaptive.attempt():
            pass

    assert limiter.max_running == 8
    assert [(event.name, dict(event.details)) for event in events] == [
        ("limit.changed", {"before": 4, "now": 8, "why": "told"})
    ]


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_a_limiter_that_does_not_enforce_is_not_resized(mode: str) -> None:
    """What it would be is shown."""
    limiter = Limiter("service", max_running=20, mode=mode)
    adaptive = AdaptiveLimit(limiter, Fixed(4))

    async with adaptive.attempt():
        pass

    assert limiter.max_running == 20
    assert adaptive.statistics().would_be == 4


class BusyError(Exception):
    status_code = 429


@pytest.mark.parametrize(
    ("error", "learned"),
    [
        (None, [False]),
        (BusyError(), [True]),
        (TimeoutError(), [True]),
        (ValueError(), []),
        (asyncio.CancelledError(), []),
    ],
)
async def test_how_a_call_ends_says_what_is_learned(error: BaseException | None, learned: list[bool]) -> None:
    """What says nothing about the service is ignored; the permit comes back."""
    algorithm, limiter = Fixed(2), Limiter("service", max_running=2)
    adaptive = AdaptiveLimit(limiter, algorithm)

    with contextlib.suppress(BaseException):
        async with adaptive.attempt():
            if error is not None:
                raise error

    assert [sample.dropped for sample in algorithm.samples] == learned
    assert limiter.statistics().running == 0


async def test_the_caller_may_say_how_a_call_ended() -> None:
    """A response 429 is no exception, and an answer from a cache no call."""
    algorithm = Fixed(2)
    adaptive = AdaptiveLimit(Limiter("service", max_running=2), algorithm)

    async with adaptive.attempt() as attempt:
        attempt.dropped()
    async with adaptive.attempt() as attempt:
        attempt.ignored()

    assert [sample.dropped for sample in algorithm.samples] == [True]
    assert adaptive.statistics().ignored == 1


async def test_a_wrong_report_is_refused_and_the_permit_comes_back() -> None:
    """No call gives no tokens."""
    limiter = Limiter("service", max_running=2)
    adaptive = AdaptiveLimit(limiter, Fixed(2))

    with pytest.raises(ConfigurationError, match="adaptive limit 'service': output_tokens = 0; allowed"):
        async with adaptive.attempt() as attempt:
            attempt.output_tokens = 0
    with pytest.raises(ConfigurationError, match="adaptive limit 'service': took = -1; allowed"):
        adaptive.report(-1, Outcome.SUCCEEDED)

    assert limiter.statistics().running == 0


def test_an_adaptive_limit_is_a_resource() -> None:
    """It says its name, its kind and what it is about."""
    adaptive = AdaptiveLimit(Limiter("service", max_running=2), LatencyGradient(10))

    assert adaptive in resources()
    assert (adaptive.name, adaptive.kind) == ("service", "adaptive-limit")
    assert repr(adaptive) == "<AdaptiveLimit 'service' enforce: <LatencyGradient 4.0>>"


# --- the algorithms


def test_aimd_adds_where_the_limit_is_used() -> None:
    """One for each window, and nothing while too little is asked for."""
    algorithm = Aimd(10)
    feed(algorithm, 20, 1.0, 10)
    assert algorithm.limit == 11

    feed(algorithm, 200, 1.0, 3)
    assert algorithm.limit == 11


def test_aimd_decreases_once_for_all_that_were_on_their_way() -> None:
    """They all began under the old limit."""
    algorithm = Aimd(20, decrease=0.5)

    feed(algorithm, 21, 1.0, 20, dropped=True)
    assert algorithm.limit == 10

    feed(algorithm, 1, 1.0, 10, dropped=True)
    assert algorithm.limit == 5


def test_the_gradient_lowers_the_limit_when_calls_get_slower() -> None:
    """Twice as slow with twenty in flight: about ten can be worked on."""
    algorithm = LatencyGradient(20)
    feed(algorithm, 150, 1.0, 4)
    assert algorithm.limit == 20

    feed(algorithm, 300, 2.0, 20)
    assert algorithm.limit < 15


def test_the_gradient_is_tied_to_what_is_in_flight() -> None:
    """However fast calls are, the limit is never more than twice what was used."""
    algorithm = LatencyGradient(20, maximum=1000)
    for _ in range(100):
        feed(algorithm, 500, 1.0, 18)

    assert algorithm.limit <= 36


def test_idle_time_changes_no_limit() -> None:
    """It neither grows for want of a queue nor falls for want of calls."""
    algorithm = LatencyGradient(20)
    feed(algorithm, 150, 1.0, 4)

    feed(algorithm, 5_000, 1.0, 2)

    assert algorithm.limit == 20


def test_a_dropped_call_lowers_the_gradients_limit() -> None:
    """Also in the midst of a measurement."""
    algorithm = LatencyGradient(20)
    feed(algorithm, 1, 1.0, 4, dropped=True)

    assert algorithm.limit == 18


@pytest.mark.parametrize("make", [Aimd, LatencyGradient])
@pytest.mark.parametrize(
    "wrong", [{"minimum": -1}, {"minimum": 30, "maximum": 20}, {"initial": 300}, {"decrease": 2}, {"maximum": True}]
)
def test_a_wrong_value_is_refused(make: Callable[..., LimitAlgorithm], wrong: dict[str, float]) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=f"{make.__name__}: \\w+ = .*; allowed is a number from 0"):  # type: ignore[attr-defined]
        make(**wrong)


# --- in simulations


@pytest.mark.parametrize("title", ["finds 12, from 20", "follows when it halves"])
def test_a_hidden_capacity_is_found_and_kept_to(title: str) -> None:
    """Within 15 % and swinging by no more than 20 %, in virtual time."""
    scenario = BY_TITLE[title]

    for outcome in judge(scenario, scenario.run(seed=0)):
        assert outcome.met, outcome


def test_a_plain_gradient_runs_away() -> None:
    """The defect that ours does not have: its base latency follows the queue that it makes."""
    scenario = Scenario("", BY_TITLE["finds 50, from 20"].phases, algorithm=PlainGradient2)

    (outcome,) = judge(scenario, scenario.run(seed=0))

    assert outcome.error > 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.judged], ids=lambda each: each.title)
def test_every_hidden_capacity_is_found(scenario: Scenario, seed: int) -> None:
    """By other chance, too."""
    for outcome in judge(scenario, scenario.run(seed)):
        assert outcome.met, outcome
