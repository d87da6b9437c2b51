"""What an adaptive limit learns from, what it does with it, and that it finds a capacity nobody told it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    set_mode_source,
)
from penstock_limits.testing import ManualClock, recorded

from benchmarks.simulation._scenarios import SCENARIOS, PlainGradient2, Scenario, judge
from tests.limits.sources import Source

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


def serve(algorithm: LimitAlgorithm, calls: int, capacity: int, *, seconds: float = 1.0, demand: int = 1_000) -> None:
    """End calls as a service does that works on so many at once, each for as long, while the others wait."""
    for _ in range(calls):
        in_flight = min(round(algorithm.limit), demand)
        algorithm.update(Sample(seconds * max(1.0, in_flight / capacity), in_flight))


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


def test_a_limiter_that_begins_to_enforce_is_resized() -> None:
    """By what was learned meanwhile."""
    source = Source("observe")
    set_mode_source(source)
    limiter = Limiter("service", max_running=20, mode=None)
    adaptive = AdaptiveLimit(limiter, Fixed(4))

    source.turn("enforce")

    assert (limiter.max_running, adaptive.statistics().changed) == (4, 1)


def test_threads_leave_the_limiter_with_the_last_limit() -> None:
    """Whoever is late with an earlier one looks again."""
    limiter, algorithm = Limiter("service", max_running=20), Fixed(1)
    adaptive = AdaptiveLimit(limiter, algorithm)

    def report(limit: int) -> None:
        algorithm.limit = limit
        adaptive.report(1.0, Outcome.SUCCEEDED)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(report, [1, 50, 7, 30] * 100))

    assert limiter.max_running == algorithm.limit
    assert len(algorithm.samples) == 400


def test_statistics_show_what_was_learned() -> None:
    """An algorithm without a base latency has none to show."""
    adaptive = AdaptiveLimit(Limiter("service", max_running=2), LatencyGradient(20))
    for _ in range(40):
        adaptive.report(1.0, Outcome.SUCCEEDED)
    statistics = adaptive.statistics()

    assert (statistics.algorithm, statistics.latency, statistics.gradient) == ("LatencyGradient", 1.0, 1.0)
    assert (statistics.succeeded, statistics.in_flight) == (40, 0)
    assert AdaptiveLimit(Limiter(max_running=2), Aimd()).statistics().base is None


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


async def test_a_caller_cancelled_while_it_waits_has_made_no_call() -> None:
    """It has no permit to give back, and nothing to report."""
    limiter, algorithm = Limiter("service", max_running=1), Fixed(1)
    adaptive = AdaptiveLimit(limiter, algorithm)

    async def call() -> None:
        async with adaptive.attempt():
            await asyncio.sleep(0)

    async with limiter:
        waiting = asyncio.create_task(call())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert (algorithm.samples, limiter.statistics().running, adaptive.statistics().ignored) == ([], 0, 0)


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
    assert repr(adaptive) == "<AdaptiveLimit 'service' enforce: <LatencyGradient 10>>"


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


@pytest.mark.parametrize("initial", [4, 20, 100])
@pytest.mark.parametrize("capacity", [8, 12, 50])
def test_the_gradient_finds_a_capacity_from_above_and_from_below(initial: float, capacity: int) -> None:
    """A little more, so that there is always a short queue."""
    algorithm = LatencyGradient(initial)

    serve(algorithm, 6_000, capacity)

    assert capacity <= algorithm.limit <= capacity + max(1, 0.05 * capacity)
    assert algorithm.base == pytest.approx(1.0, rel=0.02)


def test_the_gradient_follows_when_the_capacity_halves_and_doubles() -> None:
    """The base latency that it knows says how far to go down; above, it feels its way."""
    algorithm = LatencyGradient(20)
    serve(algorithm, 6_000, capacity=40)

    serve(algorithm, 1_000, capacity=20)
    assert 18 <= algorithm.limit <= 22

    serve(algorithm, 4_000, capacity=40)
    assert 36 <= algorithm.limit <= 44


def test_the_gradient_tells_a_slower_service_from_one_that_can_do_less() -> None:
    """With fewer calls it is as slow: then it is not the queue."""
    algorithm = LatencyGradient(20)
    serve(algorithm, 6_000, capacity=40)

    serve(algorithm, 2_000, capacity=40, seconds=2.0)

    assert 36 <= algorithm.limit <= 44
    assert algorithm.base == pytest.approx(2.0, rel=0.05)


def test_the_gradient_is_tied_to_what_is_in_flight() -> None:
    """However fast calls are, the limit is never more than half above what was used."""
    algorithm = LatencyGradient(20, maximum=1000)

    serve(algorithm, 50_000, capacity=1_000, demand=40)

    assert algorithm.limit <= 60


def test_idle_time_changes_no_limit() -> None:
    """It neither grows for want of a queue nor falls for want of calls, nor is the base latency forgotten."""
    algorithm = LatencyGradient(20)
    serve(algorithm, 6_000, capacity=40)
    before = algorithm.limit, algorithm.base

    serve(algorithm, 20_000, capacity=40, demand=3)

    assert abs(algorithm.limit - before[0]) <= 4
    assert algorithm.base == before[1]


def test_a_capacity_that_falls_in_idle_time_is_noticed() -> None:
    """A queue is one, also below the limit."""
    algorithm = LatencyGradient(20)
    serve(algorithm, 6_000, capacity=40)

    serve(algorithm, 3_000, capacity=10, demand=30)

    assert 10 <= algorithm.limit <= 12


def test_a_dropped_call_lowers_the_gradients_limit_once() -> None:
    """Also in the midst of a measurement; those that were on their way began under the old limit."""
    algorithm = LatencyGradient(20)

    feed(algorithm, 20, 1.0, 20, dropped=True)
    assert algorithm.limit == 18

    feed(algorithm, 1, 1.0, 18, dropped=True)
    assert algorithm.limit == 16


def test_a_call_dropped_after_the_limit_was_raised_lowers_it() -> None:
    """Only after a decrease are drops no news."""
    algorithm = LatencyGradient(20)
    feed(algorithm, 40, 1.0, 20)
    assert algorithm.limit == 30

    feed(algorithm, 1, 1.0, 30, dropped=True)

    assert algorithm.limit == 27


@pytest.mark.parametrize("seconds", [0.0, 1e-12, 1e9])
@pytest.mark.parametrize("in_flight", [0, 1, 10_000])
@pytest.mark.parametrize("make", [Aimd, LatencyGradient])
def test_no_sample_takes_a_limit_out_of_its_bounds(
    make: Callable[..., LimitAlgorithm], seconds: float, in_flight: int
) -> None:
    """Whatever calls are like, also when they change all at once."""
    algorithm = make(20, minimum=5, maximum=50)

    for took in (seconds, 1.0, seconds):
        for _ in range(2_000):
            algorithm.update(Sample(took, in_flight, dropped=False))
            assert 5 <= algorithm.limit <= 50


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e6), st.integers(0, 300), st.sampled_from([False, False, False, True]), st.integers(1, 300)
        ),
        max_size=30,
    )
)
def test_whatever_happens_a_limit_is_a_number_within_its_bounds(happened: list[tuple[float, int, bool, int]]) -> None:
    """Also when a service does what no service does."""
    for algorithm in (Aimd(20, minimum=3, maximum=99), LatencyGradient(20, minimum=3, maximum=99)):
        for seconds, in_flight, dropped, calls in happened:
            before = algorithm.limit
            for _ in range(calls):
                changed = algorithm.update(Sample(seconds, in_flight, dropped))
                assert 3 <= algorithm.limit <= 99
                assert (changed is not None) == (algorithm.limit != before)
                before = algorithm.limit


@pytest.mark.parametrize("make", [Aimd, LatencyGradient])
@pytest.mark.parametrize(
    "wrong", [{"minimum": -1}, {"minimum": 30, "maximum": 20}, {"initial": 300}, {"decrease": 2}, {"maximum": True}]
)
def test_a_wrong_value_is_refused(make: Callable[..., LimitAlgorithm], wrong: dict[str, float]) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=f"{make.__name__}: \\w+ = .*; allowed is a number from 0"):  # type: ignore[attr-defined]
        make(**wrong)


# --- in simulations


@pytest.mark.parametrize("title", ["finds 50, from 20", "finds 8, from 20", "the capacity halves"])
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
