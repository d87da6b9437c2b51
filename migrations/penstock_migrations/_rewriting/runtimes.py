"""The distributions whose modules the rewritten code calls."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["LIMITS", "MONITORING", "runtimes"]

LIMITS = "penstock-limits"
MONITORING = "penstock-monitoring"
_CALLED = {LIMITS: b"penstock_limits.", "penstock-pooling": b"penstock_pooling.", "penstock-tasks": b"penstock_tasks."}


def runtimes(sources: Iterable[bytes]) -> list[str]:
    """Return the distributions that some files call, in alphabetical order."""
    missing = dict(_CALLED)
    for source in sources:
        for name in [name for name, called in missing.items() if called in source]:
            del missing[name]
        if not missing:
            break
    return sorted(_CALLED.keys() - missing.keys())
