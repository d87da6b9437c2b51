"""The mode of a capability: off, observe or enforce, and who says so."""

from __future__ import annotations

import enum
import functools
import logging
import os
import threading
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from penstock_limits._errors import ConfigurationError
from penstock_limits._resources import resources
from penstock_limits.forks import after_fork

__all__ = [
    "CAPABILITIES",
    "Mode",
    "ModeSource",
    "mode_of",
    "mode_override",
    "mode_source",
    "parse_mode",
    "set_mode_source",
    "tell_resources",
    "variable_of",
]

logger = logging.getLogger("penstock.limits")


CAPABILITIES: Final = (
    "bounded-fanout",
    "pooled-database",
    "managed-threads",
    "modern-loop-api",
    "async-http",
    "managed-resources",
    "governed-breaker",
    "jittered-retry",
    "provider-rates",
    "central-manager",
)
"""The names of all that can be switched by a mode, one flag each."""


class Mode(enum.StrEnum):
    """What a capability does.

    Attributes:
        OFF: Exactly what the code did before.
        OBSERVE: Count what would have waited or been refused, act on nothing.
        ENFORCE: Wait and refuse.
    """

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class ModeSource(Protocol):
    """Says the mode of a capability; may also offer `subscribe(callback)`, returning a function that unsubscribes.

    The callback takes no argument, may be called in any thread, and says that some mode has changed.
    """

    def mode(self, capability: str) -> str:
        """Return `off`, `observe` or `enforce`."""
        ...


@runtime_checkable
class _Subscribable(Protocol):
    def subscribe(self, callback: Callable[[], None], /) -> Callable[[], None]: ...


@runtime_checkable
class _FollowsMode(Protocol):
    def mode_changed(self) -> None: ...


class _State:
    """The one mode source of the process."""

    def __init__(self) -> None:
        self.renew_lock()
        self.source: ModeSource | None = None
        self.unsubscribe: Callable[[], None] | None = None
        self.reported: set[str] = set()

    def renew_lock(self) -> None:
        """Let nobody hold the lock, as in a forked child."""
        self.lock = threading.Lock()


_state = _State()
after_fork(_state.renew_lock)


def parse_mode(value: str, where: str) -> Mode:
    """Return the mode that a text names.

    Raises:
        ConfigurationError: It names none; the message says where it stood.
    """
    try:
        return Mode(value)
    except ValueError:
        raise ConfigurationError(f"{where}: {value!r} is no mode; allowed are off, observe, enforce") from None


def set_mode_source(source: ModeSource | None) -> None:
    """Let an object say the mode of every capability, from now on; None returns to `off`.

    The environment goes before it: `PENSTOCK_MODE_<CAPABILITY>` (`PENSTOCK_MODE_BOUNDED_FANOUT`), then
    `PENSTOCK_MODE`. A source that offers `subscribe` wakes waiters as soon as a mode changes; with another source
    they notice at the limiter's next use.

    Args:
        source: Anything with `mode(capability) -> str`, such as `penstock_flags.open()`.

    Raises:
        ConfigurationError: `source` has no `mode`, or the environment names no mode.
    """
    if source is not None and not callable(getattr(source, "mode", None)):
        raise ConfigurationError(f"{source!r} is no mode source: it needs mode(capability) -> str")
    for variable in os.environ:
        if os.environ[variable] and (variable == "PENSTOCK_MODE" or variable.startswith("PENSTOCK_MODE_")):
            parse_mode(os.environ[variable], variable)
    with _state.lock:
        unsubscribe, _state.unsubscribe = _state.unsubscribe, None
        _state.source = source
        _state.reported.clear()
    if unsubscribe is not None:
        unsubscribe()
    if isinstance(source, _Subscribable):
        subscription = source.subscribe(tell_resources)
        with _state.lock:
            _state.unsubscribe = subscription
    tell_resources()


def mode_source() -> ModeSource | None:
    """Return what says the modes; None if nothing but the environment does."""
    return _state.source


def mode_of(capability: str) -> Mode:
    """Return the mode of a capability; a source that fails or names no mode counts as off, and is logged once."""
    value: str | None = mode_override(capability)
    try:
        if not value:
            value = Mode.OFF if _state.source is None else _state.source.mode(capability)
        return Mode(value)
    except Exception as error:  # noqa: BLE001 - a broken flag must not break the program
        _report(capability, error)
        return Mode.OFF


def mode_override(capability: str) -> str | None:
    """Return what the environment says of a capability, which goes before the mode source; None if nothing."""
    return os.environ.get(variable_of(capability)) or os.environ.get("PENSTOCK_MODE") or None


def _report(capability: str, error: Exception) -> None:
    if capability not in _state.reported:
        _state.reported.add(capability)
        logger.error("the mode of %s cannot be told and counts as off: %s", capability, error)


@functools.cache
def variable_of(capability: str) -> str:
    """Return the environment variable that says the mode of a capability before anything else does."""
    return "PENSTOCK_MODE_" + capability.upper().replace("-", "_")


def tell_resources() -> None:
    """Let every resource look at its mode again."""
    for resource in resources():
        if isinstance(resource, _FollowsMode):
            resource.mode_changed()
