"""What is limited, pooled or owned, so that monitoring and tests can see it without being told."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol, runtime_checkable

from penstock_limits.forks import after_fork

__all__ = ["Resource", "enter", "leave", "resources"]


@runtime_checkable
class Resource(Protocol):
    """What `resources()` holds: limiters, rates, breakers, retries, policies; pools and task managers as they come.

    One that ends what others might think was left behind may say so with a method `owns(thing) -> bool`.
    """

    @property
    def name(self) -> str:
        """The name people know it by."""
        ...

    @property
    def kind(self) -> str:
        """What it is: `limiter`, `pool` ..."""
        ...

    def statistics(self) -> object:
        """A snapshot of its plain counters, as a frozen dataclass."""
        ...


_entered: weakref.WeakSet[Resource] = weakref.WeakSet()
_lock = threading.Lock()


def enter(resource: Resource) -> None:
    """Add a resource to the registry for as long as somebody else keeps it alive."""
    with _lock:
        _entered.add(resource)


def leave(resource: Resource) -> None:
    """Take a resource out of the registry."""
    with _lock:
        _entered.discard(resource)


def resources() -> tuple[Resource, ...]:
    """Return every live resource, by kind and name."""
    with _lock:
        entered = list(_entered)
    return tuple(sorted(entered, key=_place))


def _place(resource: Resource) -> tuple[str, str]:
    try:
        return str(resource.kind), str(resource.name)
    except Exception:  # noqa: BLE001 - of somebody else's that fails the others are to be seen all the same
        return "", ""


def _forked() -> None:
    """In a forked child: the thread that held the lock, or read the set, may not be here to give it back."""
    global _lock, _entered
    _lock, _entered = threading.Lock(), weakref.WeakSet(_entered)


after_fork(_forked)
