"""Numbers and times as people read them, in few characters."""

from __future__ import annotations

__all__ = ["number", "seconds"]


def number(value: float | None) -> str:
    """Return a number in at most six characters, as long as it is below a thousand million; empty for None."""
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:.1f}M"
    if value >= 1e4:
        return f"{value / 1e3:.1f}k"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def seconds(value: float) -> str:
    """Return a time in at most nine characters."""
    if value < 1:
        return f"{value * 1e3:.{1 if value < 0.01 else 0}f} ms"
    if value < 60:
        return f"{value:.{1 if value < 10 else 0}f} s"
    if value < 3600:
        return f"{value // 60:.0f}m {value % 60:.0f}s"
    return f"{value // 3600:.0f}h {value % 3600 // 60:.0f}m"
