"""What a provider's response headers say about its limits; nonsense is ignored, as providers do send it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["Advice", "advice", "retry_after"]

_LONGEST = 24 * 3600.0  # a longer pause is nonsense
_EPOCH = 1e9  # a larger number of seconds is a date, counted from 1970
_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")  # as Go writes it: 1m30s


@dataclass(frozen=True, slots=True)
class Advice:
    """What the headers of one response say.

    Attributes:
        pause: Seconds in which to send nothing; None if nothing is said.
        budgets: By dimension, how much more may be sent, and in how many seconds that is set again.
        limits: By dimension, the limit itself.
    """

    pause: float | None = None
    budgets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)


def advice(headers: Mapping[str, str], dimensions: Iterable[str], now: float) -> Advice:
    """Return what headers say of some dimensions, in the styles of OpenAI, Anthropic, and most others.

    These are `x-ratelimit-remaining-tokens`, `anthropic-ratelimit-tokens-remaining`, and `x-ratelimit-remaining` for
    the only dimension or `requests`; with `limit` and `reset` likewise, and `retry-after`.

    Args:
        headers: The response headers, with names in any case.
        dimensions: What is counted, such as `requests` and `input_tokens`.
        now: The time now, as `time.time()` gives it, for headers that are dates.
    """
    known = {str(name).lower(): str(value) for name, value in headers.items()}
    names = tuple(dimensions)
    budgets, limits = {}, {}
    for name in names:
        alone = name == "requests" or len(names) == 1
        limit, remaining, reset = (_of(known, name, what, alone=alone) for what in ("limit", "remaining", "reset"))
        most, left, seconds = _number(limit), _number(remaining), _pause(reset, now)
        if most is not None and most > 0:
            limits[name] = most
        if left is not None and left >= 0 and seconds is not None and (most is None or most > 0):
            budgets[name] = left, seconds
    return Advice(retry_after(known, now), budgets, limits)


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


def _of(headers: Mapping[str, str], dimension: str, what: str, *, alone: bool) -> str | None:
    written = dimension.replace("_", "-").lower()
    styles = [f"x-ratelimit-{what}-{written}", f"anthropic-ratelimit-{written}-{what}"]
    if alone:
        styles.append(f"x-ratelimit-{what}")
    return next((headers[style] for style in styles if style in headers), None)


def _pause(text: str | None, now: float) -> float | None:
    """Return the sensible number of seconds until a time: seconds, seconds since 1970, a duration, or a date."""
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None and seconds >= _EPOCH:
        seconds -= now
    elif seconds is None:
        seconds = _duration(text)
    return _sensible(_until(text, now) if seconds is None else seconds)


def _duration(text: str) -> float | None:
    if not _DURATION.fullmatch(text.strip()):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 < seconds <= _LONGEST else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _until(date: str, now: float) -> float | None:
    """Return the seconds until a date, as HTTP or as ISO 8601 writes it."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(date.strip())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return moment.timestamp() - now
        except (TypeError, ValueError, OverflowError):
            continue
    return None
