"""Limits by name: who has which limit is configuration, not code."""

from __future__ import annotations

import threading

from penstock_limits._config import ConcurrencyConfig
from penstock_limits._errors import ConfigurationError, UnknownLimitError
from penstock_limits._limiter import CAPABILITY, Limiter
from penstock_limits._modes import Mode, mode_of

__all__ = ["Limit", "configure", "limiter", "limiter_for", "own_limit"]

Limit = int | str | Limiter


class _Named:
    """The process's configuration and the limiters made from it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings = ConcurrencyConfig().named_limits()
        self.limiters: dict[str, Limiter] = {}


_named = _Named()


def configure(config: ConcurrencyConfig) -> None:
    """Let the limits of a configuration hold, also for limiters in use: they are resized, never rebuilt.

    Args:
        config: Usually `ConcurrencyConfig.load(path)`, at start-up. Without a call, the RFC's defaults hold.
    """
    with _named.lock:
        _named.settings = config.named_limits()
        limiters = dict(_named.limiters)
    for name, limiter in limiters.items():
        if name in _named.settings:
            settings = _named.settings[name]
            limiter.resize(settings.max_running, max_queued=settings.max_queued)


def limiter(name: str) -> Limiter:
    """Return the limiter of a name, one for the process; its mode follows the capability `bounded-fanout`.

    Raises:
        UnknownLimitError: The configuration has no limit of this name; the message lists those it has.
    """
    with _named.lock:
        if name not in _named.settings:
            raise UnknownLimitError(name, _named.settings)
        if name not in _named.limiters:
            settings = _named.settings[name]
            _named.limiters[name] = Limiter(
                name, max_running=settings.max_running, max_queued=settings.max_queued, mode=None
            )
        return _named.limiters[name]


def own_limit(limit: Limit) -> int | None:
    """Return the number if a `limit=` argument is one; None if it means a limiter.

    Raises:
        ConfigurationError: The number is below 1.
    """
    if not isinstance(limit, int) or isinstance(limit, bool):
        return None
    if limit < 1:
        raise ConfigurationError(f"limit = {limit!r}; allowed is a whole number from 1")
    return limit


def limiter_for(limit: Limit) -> Limiter | None:
    """Return the limiter that a `limit=` argument means, None if it is switched off.

    Raises:
        ConfigurationError: It means none.
        UnknownLimitError: No limit has the name, and the mode is `enforce`; `observe` counts under `default`.
    """
    if isinstance(limit, Limiter):
        return limit
    if not isinstance(limit, str):
        raise ConfigurationError(
            f"limit = {limit!r}; allowed are a whole number from 1, the name of a limit, a Limiter, or None"
        )
    try:
        return limiter(limit)
    except UnknownLimitError:
        mode = mode_of(CAPABILITY)
        if mode is Mode.ENFORCE:
            raise
        return limiter("default") if mode is Mode.OBSERVE else None
