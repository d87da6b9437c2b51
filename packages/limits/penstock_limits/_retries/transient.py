"""Which errors another attempt may mend, and which a retry is told to retry."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from concurrent import futures
from typing import Any, Final, cast

from penstock_limits._errors import (
    CallTimeoutError,
    CircuitOpenError,
    ConfigurationError,
    LimitReachedError,
    PenstockError,
    RequestTooLargeError,
)
from penstock_limits._guarded import is_coroutine_function
from penstock_limits._outcomes import is_timeout, status_of

__all__ = ["is_cancellation", "is_transient", "matcher"]

# Timeout, too early, too many, server errors; 529 is Anthropic's "overloaded".
_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_UNREACHABLE: Final = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)
_BROKEN: Final = (ConnectionError, socket.gaierror, socket.herror, ssl.SSLError, asyncio.IncompleteReadError)
# What clients call it: requests, openai, anthropic, aiohttp, asyncpg; httpx.
_NAMED: Final = ("ConnectionError", "NetworkError", "RemoteProtocolError")
_REFUSALS: Final = (LimitReachedError, RequestTooLargeError, CircuitOpenError)


def is_transient(error: BaseException) -> bool:
    """Tell whether another attempt may mend an error: a timeout, a broken connection, a busy service.

    These are: timeouts; connection errors and names that could not be resolved, of the standard library and, by the
    names of their classes, of HTTP and database clients; errors with HTTP status 408, 425, 429, 500, 502, 503, 504 or
    529. A refused certificate is none, and none of penstock's own refusals: a limit that is full is not to be asked
    again at once.
    """
    if not isinstance(error, Exception) or is_cancellation(error):
        return False
    if isinstance(error, PenstockError):
        return isinstance(error, CallTimeoutError)
    status = status_of(error)
    if status is not None:
        return status in _STATUSES
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    return is_timeout(error) or isinstance(error, _BROKEN) or _is_named(error) or _is_unreachable(error)


def is_cancellation(error: BaseException) -> bool:
    """Tell whether an error says that work was cancelled; `concurrent.futures` has an Exception for it."""
    return isinstance(error, (asyncio.CancelledError, futures.CancelledError))


def matcher(where: str, on: Any) -> Callable[[Exception], bool]:
    """Return what tells whether an error is to be retried.

    Args:
        where: Whose parameter it is, for the error.
        on: Exception classes, or a function that tells.

    Raises:
        ConfigurationError: It is nothing of that, or a cancellation.
    """
    kinds = on if isinstance(on, tuple) else (on,)
    if all(isinstance(kind, type) for kind in kinds):
        for kind in kinds:
            if not issubclass(kind, Exception) or issubclass(kind, futures.CancelledError):
                raise ConfigurationError(
                    f"{where}: on = {kind.__name__}; allowed are kinds of Exception: a cancellation is never retried"
                )
        ours = tuple(kind for kind in kinds if issubclass(kind, PenstockError))
        # A refusal of ours is a TimeoutError or a RuntimeError, too; whoever means it names it.
        return lambda error: isinstance(error, ours if isinstance(error, _REFUSALS) else kinds)
    if callable(on) and not is_coroutine_function(on):
        return cast("Callable[[Exception], bool]", on)
    raise ConfigurationError(f"{where}: on = {on!r}; allowed are Exception classes, or a function that tells at once")


def _is_named(error: Exception) -> bool:
    return any(base.__name__.endswith(_NAMED) for base in type(error).__mro__)


def _is_unreachable(error: Exception) -> bool:
    if not isinstance(error, OSError):
        return False
    reason = getattr(error, "reason", None)  # urllib.error.URLError
    if isinstance(reason, Exception):
        return is_transient(reason)
    # asyncio raises one error for all the addresses of a host, without a number.
    return error.errno in _UNREACHABLE or str(error).startswith("Multiple exceptions: ")
