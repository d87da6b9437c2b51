"""The demo's figures and claims, from logs that are written by hand."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.demo._checks import judge_connections, judge_loads
from examples.demo._measure import Figures, Request, Window, concurrency, measure, percentile

NAMES = ("before", "off", "observe", "enforce", "rollback")


def request(arrived, left, status=200, key=1, number=1):
    return Request(arrived, left, status, number, key)


def test_a_call_takes_from_its_first_attempt_to_its_answer():
    """Attempts of one call belong together, also when other calls come between them."""
    requests = [request(0, 1, 429, key=7), request(1, 2, key=8), request(3, 5, key=7)]
    figures = measure(Window("off", 0, 10, 0, None), requests, [], [])

    assert (figures.p50, figures.p99) == (1, 5)
    assert (figures.answered, figures.refused, figures.throughput) == (2, 1, 0.2)


def test_a_call_that_is_never_answered_has_no_latency():
    """It is refused and lost, but it does not make the others look fast or slow."""
    figures = measure(Window("off", 0, 10, 1, None), [request(0, 1, 429, key=7), request(1, 3, key=8)], [], [])

    assert (figures.p50, figures.lost) == (2, 1)


def test_what_lies_outside_a_load_is_not_its_own():
    """Requests and memory of other loads do not count."""
    requests = [request(0, 1, number=99), request(11, 12, number=3)]
    memory, connections = [(5, 2**30), (15, 2**20)], [(5, 300), (15, 12), (16, 7)]
    figures = measure(Window("off", 10, 20, 0, None), requests, memory, connections)

    assert (figures.peak, figures.memory, figures.connections) == (3, 1, 12)


def test_a_load_without_requests_has_figures():
    """Nothing happened, and nothing divides by it."""
    figures = measure(Window("off", 0, 1, 0, None), [], [], [])

    assert (figures.peak, figures.p99, figures.memory) == (0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=30))
def test_concurrency_ends_at_nobody_and_is_never_negative(spans):
    """Whoever arrives leaves; at every moment as many are open as have come and not gone."""
    requests = [request(start, start + length) for start, length in spans]
    steps = concurrency(requests)

    assert all(number >= 0 for _, number in steps)
    assert all(
        number == sum(start <= at < start + length for start, length in spans) for at, number in dict(steps).items()
    )


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_percentile_has_its_share_at_or_below_it(values, share):
    """At least that share of the values is at or below it, and it is one of them."""
    value = percentile(sorted(values), share)

    assert value in values
    assert sum(each <= value for each in values) >= share * len(values) - 1e-9


def figures_of(name, peak, refused):
    return Figures(name, peak, refused, 100, 0, 5.0, 20.0, 0.4, 1.0, 50.0, 0, 0)


def loads():
    limiter = {"waited": 0, "would_wait": 0}
    counters = {"off": limiter, "observe": limiter | {"would_wait": 9}, "enforce": {"waited": 7, "would_wait": 9}}
    windows = [Window(name, 0, 1, 0, counters.get(name, limiter)) for name in NAMES]
    figures = {name: figures_of(name, 120, 50) for name in NAMES} | {"enforce": figures_of("enforce", 20, 0)}
    return figures, windows


def failing(figures, windows):
    checks = judge_loads(figures.values(), windows, limit=20, provider_limit=24)
    return [check.name for check in checks if not check.holds]


def connected(**changes):
    figures = {name: dataclasses.replace(figures_of(name, 9, 0), connections=90, opened=400) for name in NAMES}
    figures["enforce"] = dataclasses.replace(figures["enforce"], connections=20, opened=20)
    return {name: dataclasses.replace(each, **changes.get(name, {})) for name, each in figures.items()}


def test_connections_that_are_as_claimed_hold():
    """Many while nothing is enforced, and no more than the pool may open."""
    assert all(check.holds for check in judge_connections(connected().values(), pool=20))


@pytest.mark.parametrize(
    ("load", "change"),
    [
        ("before", {"connections": 20}),
        ("off", {"connections": 20}),
        ("rollback", {"connections": 20}),
        ("enforce", {"connections": 21}),
        ("enforce", {"opened": 21}),
        ("enforce", {"connections": 0}),
    ],
)
def test_a_claim_about_connections_that_is_wrong_is_not_held(load, change):
    """Whichever load it is about."""
    checks = judge_connections(connected(**{load: change}).values(), pool=20)

    assert sum(not check.holds for check in checks) == 1


def test_loads_that_are_as_claimed_hold():
    """Every claim about them is true."""
    assert failing(*loads()) == []


@pytest.mark.parametrize(
    ("load", "change", "claim"),
    [
        ("before", {"peak": 24}, "Before, the agents flood the provider"),
        ("off", {"refused": 0}, "Migrated and off, they do as before"),
        ("observe", {"peak": 20}, "Observing, they count what would have waited and hold nothing back"),
        ("enforce", {"peak": 21}, "Enforced, never more than 20 requests are open"),
        ("enforce", {"refused": 1}, "Enforced, nothing is refused and nothing lost"),
        ("enforce", {"lost": 1}, "Enforced, nothing is refused and nothing lost"),
        ("rollback", {"peak": 20}, "Rolled back by the flag, they do as before"),
    ],
)
def test_a_claim_that_is_not_true_fails(load, change, claim):
    """One figure that is not as claimed fails exactly the claim about it."""
    figures, windows = loads()
    figures[load] = dataclasses.replace(figures[load], **change)

    assert failing(figures, windows) == [claim]


def test_observing_that_holds_back_fails():
    """A limiter in mode observe that let somebody wait did more than observe."""
    figures, windows = loads()
    windows[2] = dataclasses.replace(windows[2], limiter={"waited": 1, "would_wait": 9})

    assert failing(figures, windows) == ["Observing, they count what would have waited and hold nothing back"]
