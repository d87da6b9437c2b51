"""What `penstock_limits.testing` gives to tests."""

from __future__ import annotations

import asyncio
import os

import pytest
from penstock_limits import ConfigurationError, Event, Limiter, add_listener, set_mode_source
from penstock_limits.testing import ManualClock, recorded, run_in_virtual_time, switched_off

from tests.limits.sources import Source


def test_a_manual_clock_stands_still_until_it_is_told_to_go_on() -> None:
    """And does not go back."""
    clock = ManualClock(5.0)
    clock.advance(2.5)

    assert (clock(), clock()) == (7.5, 7.5)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_virtual_time_passes_without_waiting() -> None:
    """A day of sleeps, in order, and what it returns."""

    async def main() -> list[float]:
        loop, woken = asyncio.get_running_loop(), []

        async def sleeper(seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append(loop.time())

        await asyncio.gather(*(sleeper(hours * 3600) for hours in (24, 1, 12)))
        return woken

    assert run_in_virtual_time(main) == [3600, 12 * 3600, 24 * 3600]


def test_virtual_time_stands_still_while_there_is_work() -> None:
    """Turns of the loop cost nothing."""

    async def main() -> float:
        asyncio.get_running_loop().call_later(10, print)
        for _ in range(100):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == 0


def test_a_thread_wakes_a_loop_in_virtual_time() -> None:
    """Where nothing waits for a timer, it waits for the thread."""

    async def main() -> str:
        return await asyncio.to_thread(lambda: "woken")

    assert run_in_virtual_time(main) == "woken"


async def test_events_are_recorded_while_the_block_runs() -> None:
    """And not after it."""
    limiter = Limiter("provider", max_running=0, max_queued=0)

    with recorded() as events, pytest.raises(RuntimeError):
        await limiter.acquire()
    with pytest.raises(RuntimeError):
        await limiter.acquire()

    assert events == [Event("limiter.rejected", "provider", {"counted": 0, "allowed": 0})]


async def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged, and the next listener is told."""

    def broken(event: Event) -> None:
        raise ValueError("broken")

    remove = add_listener(broken)
    try:
        with recorded() as events, pytest.raises(RuntimeError, match="limiter 'provider' refuses a caller"):
            await Limiter("provider", max_running=0, max_queued=0).acquire()
    finally:
        remove()

    assert len(events) == 1
    assert "a listener failed at limiter.rejected of 'provider'" in caplog.text


async def test_the_log_has_one_line_for_many_events(caplog: pytest.LogCaptureFixture) -> None:
    """Of one kind, of one resource, in one second; with the fields that a log collector reads."""
    caplog.set_level("INFO", logger="penstock.limits")
    limiter = Limiter("flooded", max_running=0, max_queued=0)

    for _ in range(50):
        with pytest.raises(RuntimeError):
            await limiter.acquire()

    (line,) = [record for record in caplog.records if "flooded" in record.getMessage()]
    assert line.penstock["event"] == "limiter.rejected"  # type: ignore[attr-defined]


async def test_a_capability_is_switched_off_for_a_block() -> None:
    """Whoever waits comes in, and it is told; afterwards it is as it was."""
    set_mode_source(Source("enforce"))
    limiter = Limiter("provider", max_running=0, mode=None)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)

    with recorded() as events, switched_off("bounded-fanout"):
        assert await waiting
        assert "off" in repr(limiter)
        assert os.environ["PENSTOCK_MODE_BOUNDED_FANOUT"] == "off"

    assert limiter.mode == "enforce"
    assert [(event.name, event.resource, event.details) for event in events] == [
        ("mode.switched_off", "bounded-fanout", {"mode": "off"}),
        ("mode.restored", "bounded-fanout", {"mode": "enforce"}),
    ]


def test_what_is_no_capability_cannot_be_switched_off() -> None:
    """The message lists those there are."""
    with pytest.raises(ConfigurationError, match="'fanout' is no capability; known are: bounded-fanout"):
        switched_off("fanout").__enter__()
