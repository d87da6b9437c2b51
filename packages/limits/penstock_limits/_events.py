"""Events: what happens to a limit, a rate, a breaker or a retry and is worth telling; never one per operation."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock_limits.forks import after_fork

__all__ = ["Event", "Listener", "add_listener", "emit"]

logger = logging.getLogger("penstock.limits")

LOGGED_EVERY = 1.0  # seconds between two lines of one event of one resource
REMEMBERED = 1_000  # lines, before those that are old enough are forgotten


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource.

    Attributes:
        name: What happened, as `kind.participle`: `breaker.opened`.
        resource: The name of the resource it happened to.
        details: Plain values that say more; never a secret.
    """

    name: str
    resource: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Listener(Protocol):
    """Is told of every event."""

    def __call__(self, event: Event, /) -> None:
        """Take note of an event; called in the thread and task it happened in, so it must neither wait nor block."""


class _State:
    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.start()

    def start(self) -> None:
        """Log from now on, as in a forked child: what the parent has not logged is for its next line."""
        self.lock = threading.Lock()
        self.logged: dict[tuple[str, str], float] = {}
        self.unlogged: dict[tuple[str, str], int] = {}


_state = _State()
after_fork(_state.start)


def add_listener(listener: Listener) -> Callable[[], None]:
    """Tell a listener of every event from now on; what it raises is logged and goes no further.

    Args:
        listener: Called with each Event.

    Returns:
        A function that takes the listener away again.
    """
    with _state.lock:
        _state.listeners += (listener,)

    def remove() -> None:
        with _state.lock:
            _state.listeners = tuple(each for each in _state.listeners if each is not listener)

    return remove


def emit(name: str, resource: str, /, **details: Any) -> None:
    """Tell every listener, and the log of the package that calls, that something has happened; no lock may be held.

    The log of `penstock_pooling` is `penstock.pooling`, and so on; what is no package of ours logs to `penstock`. A log
    has at most one line per second for one event of one resource; the next says how many it stands for. The record has
    an attribute `penstock`, a mapping of `event`, `resource` and the details.

    Args:
        name: What happened, as `kind.participle`: `breaker.opened`.
        resource: The name of the resource it happened to.
        details: Plain values that say more; never a secret.
    """
    event = Event(name, resource, details)
    for listener in _state.listeners:
        try:
            listener(event)
        except Exception:
            logger.exception("a listener failed at %s of %r", name, resource)
    _log(event, _log_of(sys._getframe(1).f_globals.get("__name__", "")))


def _log_of(module: str) -> logging.Logger:
    package, _, ours = module.partition(".")[0].partition("_")
    return logging.getLogger(f"penstock.{ours}" if package == "penstock" and ours else "penstock")


def _log(event: Event, log: logging.Logger) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    key, now = (event.name, event.resource), time.monotonic()
    with _state.lock:
        if now - _state.logged.get(key, -LOGGED_EVERY) < LOGGED_EVERY:
            _state.unlogged[key] = _state.unlogged.get(key, 0) + 1
            return
        if len(_state.logged) >= REMEMBERED:
            _forget(now)
        _state.logged[key] = now
        more = _state.unlogged.pop(key, 0)
    told = " ".join(f"{key}={value}" for key, value in event.details.items())
    log.info(
        "%s %r %s%s",
        event.name,
        event.resource,
        told,
        f" (and {more} more)" if more else "",
        extra={"penstock": {**event.details, "event": event.name, "resource": event.resource}},
    )


def _forget(now: float) -> None:
    """Forget the lines after which the next may be written; the lock is held."""
    _state.logged = {key: when for key, when in _state.logged.items() if now - when < LOGGED_EVERY}
    _state.unlogged = {key: more for key, more in _state.unlogged.items() if key in _state.logged}
