"""Which line of a program's code has asked for a connection."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import CodeType, FrameType

from penstock_pooling._shared._waiters import Loan

__all__ = ["borrowers", "caller", "listed"]

_NOBODYS = ("contextlib", "penstock_limits.", "penstock_pooling.", "sqlalchemy.", "sqlmodel.")
_SHOWN = 5  # lines of code in a message


def caller() -> tuple[CodeType, int]:
    """Return the code, and the line in it, that has called into the pool or the library above it."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(_NOBODYS):
        above = frame.f_back or _frame_of_parent()
        if above is None or above is frame:
            break
        frame = above
    return frame.f_code, frame.f_lineno


def borrowers(loans: Iterable[Loan], now: float) -> str:
    """Return which lines have borrowed how many connections, and for how long; the first lent first."""
    places = ((f"{each.code.co_filename}:{each.line} in {each.code.co_qualname}", now - each.lent_at) for each in loans)
    return listed(places) or "none"


def listed(borrowed: Iterable[tuple[str, float]]) -> str:
    """Return places, and for how many seconds each has had a connection, as a message shows it; may be empty."""
    held: dict[str, list[float]] = {}
    for where, seconds in borrowed:
        held.setdefault(where, []).append(seconds)
    lines = [f"{where} ({len(times)} for up to {max(times):.1f} s)" for where, times in held.items()]
    more = [f"and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else []
    return ", ".join(lines[:_SHOWN] + more)


def _frame_of_parent() -> FrameType | None:
    """Return where a task stands beside which SQLAlchemy runs, in a greenlet, what is to be awaited."""
    greenlet = sys.modules.get("greenlet")
    parent = None if greenlet is None else greenlet.getcurrent().parent
    return None if parent is None else parent.gr_frame
