"""For tests: time that is turned by hand, a loop that never sleeps, a record of events, a switch-off that shows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from penstock_limits._errors import ConfigurationError
from penstock_limits._events import Event, add_listener, emit
from penstock_limits._modes import CAPABILITIES, Mode, mode_of, tell_resources, variable_of

__all__ = ["ManualClock", "VirtualTimeLoop", "recorded", "run_in_virtual_time", "switched_off"]

T = TypeVar("T")


class ManualClock:
    """A clock that stands still until it is told to go on; pass it as `clock=`.

    Args:
        now: What it shows at first, in seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def __call__(self) -> float:
        """Return what it shows, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Go on by some seconds.

        Raises:
            ValueError: `seconds` is negative: a monotonic clock does not go back.
        """
        if seconds < 0:
            raise ValueError(f"seconds = {seconds!r}; a monotonic clock does not go back")
        self._now += seconds


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: when nothing is ready, its clock jumps to the next timer.

    Its `time` method is the clock to pass as `clock=` to what is under test. It is for code that waits for timers
    and for its own tasks; what waits for a socket or another thread only while timers are pending sees time fly.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the virtual time, in seconds from 0."""
        return self._now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - asyncio's own shape
        """Wait for the threads of the default executor, whatever the deadline: here it would pass at once."""
        await super().shutdown_default_executor()

    def jump(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._now += seconds


class _JumpingSelector(selectors.DefaultSelector):
    """Where the loop would sleep until its next timer, the loop's time jumps there."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self._loop.jump(timeout)
        return ready


def run_in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function as `asyncio.run` would, in a VirtualTimeLoop.

    Args:
        main: Called without arguments, with the loop not yet running.

    Returns:
        What it returns.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


@contextlib.contextmanager
def recorded() -> Iterator[list[Event]]:
    """Record every event while a block runs.

    Yields:
        A list that grows with each event.
    """
    events: list[Event] = []
    remove = add_listener(events.append)
    try:
        yield events
    finally:
        remove()


@contextlib.contextmanager
def switched_off(capability: str) -> Iterator[None]:
    """Switch a capability off while a block runs, for whatever follows it; what has a mode of its own keeps it.

    It cannot be done on the quiet: the environment says so, to child processes as well, and so do the events
    `mode.switched_off` and `mode.restored`, every `repr` and every `statistics()`.

    Args:
        capability: Such as `bounded-fanout`.

    Raises:
        ConfigurationError: There is no such capability; the message lists those there are.
    """
    if capability not in CAPABILITIES:
        raise ConfigurationError(f"{capability!r} is no capability; known are: {', '.join(CAPABILITIES)}")
    variable = variable_of(capability)
    before = os.environ.get(variable)
    os.environ[variable] = Mode.OFF
    _mode_set("mode.switched_off", capability)
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before
        _mode_set("mode.restored", capability)


def _mode_set(event: str, capability: str) -> None:
    tell_resources()
    emit(event, capability, mode=str(mode_of(capability)))
