"""A snapshot as JSON, made in a thread beside an event loop, which must not wait for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from penstock_monitoring._reading.snapshot import Snapshot

__all__ = ["Encoder", "patiently"]

SLICE: Final = 0.001  # seconds for which this thread keeps the interpreter
REST: Final = 0.0005  # seconds for which others have it then
FRESH: Final = 0.4  # seconds for which viewers share a snapshot

_encoder: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_dumps: Final = _encoder.encode


class Encoder:
    """Answers viewers one at a time, and those that ask at nearly the same time with the same snapshot.

    Args:
        take: Takes a snapshot.
    """

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take
        self._one = threading.Lock()
        self._until = -float("inf")
        self._snapshot: Snapshot | None = None
        self._now = b""

    def encode(self, since: float = -float("inf")) -> bytes:
        """Return a snapshot, with the history after a moment in Unix seconds."""
        with self._one:
            if self._snapshot is None or time.monotonic() >= self._until:
                self._snapshot = self._take()
                self._until = time.monotonic() + FRESH
                self._now = patiently(_pieces_of_now(self._snapshot))
            return self._now + patiently(_pieces_of_history(self._snapshot, since))


def _pieces_of_now(snapshot: Snapshot) -> Iterator[str]:
    yield _dumps(snapshot.facts())[:-1]
    resources = ({"kind": r.kind, "name": r.name, "mode": r.mode, "values": r.values} for r in snapshot.resources)
    yield from _list("resources", resources)
    yield ',"tasks":'
    yield from _encoder.iterencode(snapshot.tasks)  # a tree may be large; this makes many pieces of it


def _pieces_of_history(snapshot: Snapshot, since: float) -> Iterator[str]:
    history = ({"kind": u.kind, "name": u.name, "points": u.points_after(since)} for u in snapshot.utilisation)
    yield from _list("utilisation", history)
    yield "}"


def _list(name: str, items: Iterable[object]) -> Iterator[str]:
    yield f',"{name}":['
    for number, item in enumerate(items):
        yield ("," if number else "") + _dumps(item)
    yield "]"


def patiently(parts: Iterator[str]) -> bytes:
    """Return all parts together; lets other threads run as often as a slice of time is used up."""
    made: list[str] = []
    until = time.perf_counter() + SLICE
    for part in parts:
        made.append(part)
        if time.perf_counter() > until:
            time.sleep(REST)
            until = time.perf_counter() + SLICE
    return "".join(made).encode()
