"""Which lines of a program have connections, and for how long."""

from __future__ import annotations

from collections.abc import Iterable

from penstock_limits.introspection import CallSite

__all__ = ["LIBRARIES", "listed"]

LIBRARIES = ("asyncpg.", "sqlalchemy.", "sqlmodel.")  # who asks by these is the program above them
_SHOWN = 5  # lines of code in a message


def listed(borrowed: Iterable[tuple[CallSite | None, float]]) -> str:
    """Return lines, and for how many seconds each has had a connection, as a message shows it; may be empty."""
    held: dict[str, list[float]] = {}
    for site, seconds in borrowed:
        held.setdefault(str(site or "somebody"), []).append(seconds)
    lines = [f"{where} ({len(times)} for up to {max(times):.1f} s)" for where, times in held.items()]
    more = [f"and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else []
    return ", ".join(lines[:_SHOWN] + more)
