"""What a provider's response headers say about its limits; nonsense is ignored, as providers do send it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

__all__ = ["retry_after"]

_LONGEST = 24 * 3600.0  # a longer pause is nonsense


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause, in seconds, that `retry-after-ms` or `retry-after` asks for.

    Args:
        headers: The response headers, with names in lower case.
        now: The time now, as `time.time()` gives it, for a header that is a date.

    Returns:
        Seconds above 0, or None: no such header, a past date, or nonsense (`-1`, `nan`, more than a day).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _sensible(milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _until(value, now)
    return _sensible(seconds)


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 < seconds <= _LONGEST else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _until(date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None
