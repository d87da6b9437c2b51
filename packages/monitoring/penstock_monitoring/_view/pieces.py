"""A snapshot as JSON, made in a thread beside an event loop, which must not wait for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from penstock_monitoring._reading.snapshot import Snapshot

__all__ = ["Encoder", "pieces"]

SLICE: Final = 0.001  # seconds for which this thread keeps the interpreter
REST: Final = 0.0005  # seconds for which others have it then
FRESH: Final = 0.2  # seconds for which viewers share a snapshot

_dumps: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Encoder:
    """Answers viewers; one at a time, and those that ask at the same time with the same snapshot.

    Args:
        snapshot: Takes one.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._take = snapshot
        self._one = threading.Lock()
        self._taken = -float("inf")
        self._snapshot: Snapshot | None = None

    def encode(self, since: float = -float("inf")) -> bytes:
        """Return a snapshot, with the history after a moment in Unix seconds."""
        with self._one:
            now = time.monotonic()
            if self._snapshot is None or now - self._taken > FRESH:
                self._snapshot, self._taken = self._take(), now
            return _patiently(pieces(self._snapshot, since))


def pieces(snapshot: Snapshot, since: float = -float("inf")) -> Iterator[str]:
    """Return what `to_json()` does, in pieces; the encoder of the standard library would keep the interpreter."""
    yield _dumps(snapshot.facts())[:-1]
    resources = ({"kind": r.kind, "name": r.name, "mode": r.mode, "values": r.values} for r in snapshot.resources)
    yield from _list("resources", resources)
    history = ({"kind": u.kind, "name": u.name, "points": u.points_after(since)} for u in snapshot.utilisation)
    yield from _list("utilisation", history)
    yield from _list("tasks", snapshot.tasks)
    yield "}"


def _list(name: str, items: Iterator[object] | tuple[object, ...]) -> Iterator[str]:
    yield f',"{name}":['
    for number, item in enumerate(items):
        yield ("," if number else "") + _dumps(item)
    yield "]"


def _patiently(parts: Iterator[str]) -> bytes:
    """Return all parts together; lets other threads run as often as a slice of time is used up."""
    made: list[str] = []
    until = time.perf_counter() + SLICE
    for part in parts:
        made.append(part)
        if time.perf_counter() > until:
            time.sleep(REST)
            until = time.perf_counter() + SLICE
    return "".join(made).encode()
