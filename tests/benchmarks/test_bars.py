"""Every bar can be run, and says what it allows."""

import asyncio

import pytest

from benchmarks._bar import Bar, Contender, load, names
from benchmarks._measure import Result
from benchmarks._report import met
from benchmarks._stopwatch import Stopwatch

PROGRAMS = {"monitored_demo"}  # bars that start whole programs, for half a minute
CONTENDERS = [
    pytest.param(load(name), each, marks=[pytest.mark.slow] if name in PROGRAMS else [], id=f"{name}-{each.title}")
    for name in names()
    for each in load(name).contenders
]


@pytest.mark.parametrize(("bar", "contender"), CONTENDERS)
async def test_a_contender_does_its_work_inside_the_stopwatch(bar: Bar, contender: Contender) -> None:
    """The CPU time of the `with` block is recorded."""
    stopwatch = Stopwatch()

    await contender.run(min(25, bar.quick_size), stopwatch)

    assert stopwatch.cpu_seconds > 0


@pytest.mark.parametrize("name", names())
def test_a_bar_measures_against_a_peer(name: str) -> None:
    """The first contender is nobody's to beat: it is what the others are compared with."""
    first, *others = load(name).contenders

    assert first.ratio_at_most is None
    assert others


def test_the_stopwatch_sees_memory_that_is_given_back_before_it_stops() -> None:
    """It is the highest RSS that counts, not the last."""
    stopwatch = Stopwatch()
    with stopwatch:
        bytearray(64 * 1024 * 1024)

    assert stopwatch.memory > 32 * 1024 * 1024


@pytest.mark.parametrize(("ratio", "memory", "expected"), [(0.5, 5.0, True), (0.7, 5.0, False), (0.5, 11.0, False)])
def test_a_bar_is_met_when_both_time_and_memory_are(ratio: float, memory: float, expected: bool) -> None:
    """One of the two too much is too much."""
    contender = Contender("ours", _nothing, ratio_at_most=0.6, memory_at_most=10)
    result = Result(contender, [ratio], [memory], ratio, 1.0, 0.6, 10, None)
    bar = Bar("work", size=1, quick_size=1, rounds=1, contenders=(contender,))

    assert result.met is expected
    assert met([(bar, 1, [result])]) is expected


def test_a_bar_may_allow_an_absolute_time() -> None:
    """So many microseconds each time."""
    contender = Contender("ours", _nothing, microseconds_at_most=8)

    assert Result(contender, [1.0], [1.0], 1.0, 7.9, None, None, 8).met
    assert not Result(contender, [1.0], [1.0], 1.0, 8.1, None, None, 8).met


def test_a_bar_may_allow_so_much_more_than_the_first_contender_takes() -> None:
    """So many microseconds each time: what a wrapper adds."""
    contender = Contender("ours", _nothing, added_at_most=7)

    assert Result(contender, [1.0], [1.0], 1.2, 30.0, None, None, None, 6.9, 7).met
    assert not Result(contender, [1.0], [1.0], 1.2, 30.0, None, None, None, 7.1, 7).met


def test_what_is_only_shown_is_neither_met_nor_missed() -> None:
    """A peer has no bar to meet."""
    peer = Result(Contender("peer", _nothing), [9.0], [999.0], 9.0, 9.0, None, None, None)

    assert peer.met is None


async def _nothing(size: int, stopwatch: Stopwatch) -> None:
    await asyncio.sleep(0)
