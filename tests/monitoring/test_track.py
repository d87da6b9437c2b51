"""What samples of one resource add up to."""

from __future__ import annotations

import math

import pytest
from penstock_monitoring._reading.track import Track, Use

from tests.monitoring.helpers import Numbers


def use(running: int, limit: int = 4, queued: int = 0) -> Use:
    made = Use()
    assert made.add(Numbers(running, limit, queued))
    return made


def test_what_is_out_is_held_for_the_time_between_samples() -> None:
    """Half of it counts as it was at the first, half as at the second."""
    track = Track(10)

    for number, running in enumerate((0, 2, 4)):
        track.sample(number, use(running, queued=running // 4), threshold=1.0, passed=0.5)

    assert track.sampled() == pytest.approx(
        {"hold_seconds": 0.5 * 1 + 0.5 * 3, "near_limit_seconds": 0.25, "saturated_seconds": 0.25}
    )


def test_nothing_is_said_of_the_time_in_which_it_was_not_seen() -> None:
    """The share of that time is no number, and what it held is not guessed."""
    track = Track(10)
    track.sample(0, use(2), threshold=1.0, passed=1.0)
    track.miss(1)
    track.sample(2, use(4), threshold=1.0, passed=1.0)

    first, second, third = track.shares()
    assert (first, third) == (0.5, 1.0)
    assert math.isnan(second)
    assert track.hold_seconds == 0


def test_a_sample_that_did_not_come_to_it_shifts_nothing() -> None:
    """It was cut short, as the event loop that took it was left: the share of that time is no number."""
    track = Track(10)
    track.sample(0, use(2), threshold=1.0, passed=1.0)
    track.sample(2, use(4), threshold=1.0, passed=1.0)

    first, second, third = track.shares()
    assert (first, third) == (0.5, 1.0)
    assert math.isnan(second)


def test_as_many_shares_are_kept_as_the_window_has() -> None:
    """However many were taken."""
    track = Track(3)
    for number in range(100):
        track.sample(number, use(number % 5), threshold=1.0, passed=1.0)

    assert list(track.shares()) == [0.5, 0.75, 1.0]


@pytest.mark.parametrize(("running", "queued", "expected"), [(0, 0, 0.0), (1, 0, 1.0), (0, 1, 1.0)])
def test_a_limit_of_nothing_is_used_up_as_soon_as_somebody_wants_it(running: int, queued: int, expected: float) -> None:
    """There is no share of it."""
    assert use(running, limit=0, queued=queued).share == expected
