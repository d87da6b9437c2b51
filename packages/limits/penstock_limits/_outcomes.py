"""How a call ended, in three words, and what an HTTP client's error says of it, whoever the client is."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

from penstock_limits._errors import CallTimeoutError, PenstockError

__all__ = ["Outcome", "headers_of", "is_timeout", "outcome_of", "status_of"]

_OVERLOADED = frozenset({429, 503, 529})  # 529 is Anthropic's "overloaded"


class Outcome(enum.StrEnum):
    """How a call ended.

    Attributes:
        SUCCEEDED: It did what it should; its duration says something about the service.
        IGNORED: It says nothing about the service: cancelled, refused before it was made, wrong by the caller's fault.
        DROPPED: The service was too busy: 429, 503, a timeout.
    """

    SUCCEEDED = "succeeded"
    IGNORED = "ignored"
    DROPPED = "dropped"


_SUCCEEDED: Final = Outcome.SUCCEEDED  # an enumeration looks its members up each time


def outcome_of(error: BaseException | None) -> Outcome:
    """Return how a call ended that raised this, or nothing if None."""
    if error is None:
        return _SUCCEEDED
    # A limit within, that was waited for too long, is a timeout as well, and yet not the service.
    if isinstance(error, PenstockError):
        return Outcome.DROPPED if isinstance(error, CallTimeoutError) else Outcome.IGNORED
    if isinstance(error, Exception) and (is_timeout(error) or status_of(error) in _OVERLOADED):
        return Outcome.DROPPED
    return Outcome.IGNORED


def is_timeout(error: BaseException) -> bool:
    """Tell whether an error is a timeout; clients like httpx have classes of their own, known by their names."""
    return isinstance(error, TimeoutError) or any("Timeout" in base.__name__ for base in type(error).__mro__)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries, itself (aiohttp, openai) or in its response (httpx, requests)."""
    response = _attribute(error, "response")
    for holder in (error, response):
        for name in ("status_code", "status"):
            status = _attribute(holder, name)
            if isinstance(status, int) and not isinstance(status, bool):
                return status
    return None


def headers_of(error: BaseException) -> Mapping[str, str]:
    """Return the response headers that an error carries, with names in lower case; empty if it has none."""
    headers = _attribute(_attribute(error, "response"), "headers") or _attribute(error, "headers") or {}
    try:
        return {str(name).lower(): str(value) for name, value in headers.items()}
    except Exception:  # noqa: BLE001 - as below
        return {}


def _attribute(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody else's: what it raises must not replace the error
        return None
