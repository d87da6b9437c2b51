"""Limits and policies by name: who has which limit is configuration, not code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from penstock_limits._breakers.breaker import CircuitBreaker
from penstock_limits._config import ConcurrencyConfig, LimitSettings, PolicySettings
from penstock_limits._errors import ConfigurationError, UnknownLimitError, UnknownPolicyError
from penstock_limits._limiters.limiter import CAPABILITY, Limiter
from penstock_limits._modes import Mode, mode_of
from penstock_limits._policies.policy import Policy
from penstock_limits._rates.rate import Rate, RateLimiter
from penstock_limits._retries.retry import Retry
from penstock_limits.forks import after_fork

__all__ = [
    "Limit",
    "configuration",
    "configure",
    "limiter",
    "limiter_for",
    "limiter_or_new",
    "limiters",
    "own_limit",
    "policy",
    "rates",
]

Limit = int | str | Limiter

T = TypeVar("T")


class _Named:
    """The process's configuration, and what has been made from it; limits and rates are changed in place."""

    def __init__(self) -> None:
        self.renew_lock()
        self.take(ConcurrencyConfig())
        self.limiters: dict[str, Limiter] = {}
        self.rates: dict[str, RateLimiter] = {}
        self.breakers: dict[str, tuple[object, CircuitBreaker]] = {}  # with the settings that each was made of
        self.retries: dict[str, tuple[object, Retry]] = {}  # likewise
        self.policies: dict[str, Policy] = {}

    def renew_lock(self) -> None:
        """Let nobody hold the lock, as in a forked child."""
        self.lock = threading.RLock()

    def take(self, config: ConcurrencyConfig) -> None:
        """Let a configuration hold; its names are looked up at every call, so they are read from it once."""
        self.config = config
        self.limit_settings = config.named_limits()
        self.policy_settings = config.named_policies()


_named = _Named()
after_fork(_named.renew_lock)


def configuration() -> ConcurrencyConfig:
    """Return the configuration that holds: what `configure()` was last given, else the RFC's defaults."""
    return _named.config


def configure(config: ConcurrencyConfig) -> None:
    """Let a configuration hold, also for what is in use: limits and rates are resized, policies take new parts.

    A rate that counts other things than before, a breaker and a retry whose settings have changed are new ones.

    Args:
        config: Usually `ConcurrencyConfig.load(path)`, at start-up. Without a call, the RFC's defaults hold.
    """
    with _named.lock:
        _named.take(config)
        limits, policies = _named.limit_settings, _named.policy_settings
        changed = [(limiter, limits[name]) for name, limiter in _named.limiters.items() if name in limits]
        for name in policies.keys() & _named.policies.keys():
            _named.policies[name].replace(**_parts(name, policies[name]))
    for limiter, settings in changed:
        limiter.resize(settings.max_running, max_queued=settings.max_queued)


def limiter(name: str) -> Limiter:
    """Return the limiter of a name, one for the process; its mode follows the capability `bounded-fanout`.

    Raises:
        UnknownLimitError: The configuration has no limit of this name; the message lists those it has.
    """
    with _named.lock:
        if name not in _named.limit_settings:
            raise UnknownLimitError(name, _named.limit_settings)
        return _limiter(name, _named.limit_settings[name])


def limiter_or_new(name: str, max_running: int) -> Limiter:
    """Return the limiter of a name, made with a limit of its own if the configuration has none.

    Raises:
        ConfigurationError: `max_running` is no whole number from 0.
    """
    with _named.lock:
        return _limiter(name, _named.limit_settings.get(name, LimitSettings(max_running)))


def policy(name: str) -> Policy:
    """Return the policy of a name, one for the process.

    Its deadlines follow the capability `central-manager`, its parts `jittered-retry`, `governed-breaker`,
    `bounded-fanout` and `provider-rates`.

    Raises:
        UnknownPolicyError: The configuration has no policy of this name; the message lists those it has.
    """
    with _named.lock:
        if name not in _named.policy_settings:
            raise UnknownPolicyError(name, _named.policy_settings)
        if name not in _named.policies:
            _named.policies[name] = Policy(name, mode=None, **_parts(name, _named.policy_settings[name]))
        return _named.policies[name]


def limiters() -> dict[str, Limiter]:
    """Return the named limiters that are in use."""
    with _named.lock:
        return dict(_named.limiters)


def rates() -> dict[str, RateLimiter]:
    """Return the named rates that are in use."""
    with _named.lock:
        return dict(_named.rates)


def _limiter(name: str, settings: LimitSettings) -> Limiter:
    if name not in _named.limiters:
        _named.limiters[name] = Limiter(
            name, max_running=settings.max_running, max_queued=settings.max_queued, mode=None
        )
    return _named.limiters[name]


def _parts(name: str, settings: PolicySettings) -> dict[str, Any]:
    """Return what a policy is made of; parts whose settings have not changed stay the same objects."""
    return {
        "total_timeout": settings.total_timeout,
        "attempt_timeout": settings.attempt_timeout,
        "limiter": limiter(settings.limit),
        "rate": _rate(name, settings),
        "breaker": _breaker(name, settings),
        "retry": _retry(name, settings),
    }


def _rate(name: str, settings: PolicySettings) -> RateLimiter | None:
    wanted: dict[str, Any] = {dimension: Rate(amount) for dimension, amount in settings.per_minute().items()}
    if not wanted:
        return None
    rate = _named.rates.get(name)
    if rate is None or set(rate.dimensions) != set(wanted):
        rate = _named.rates[name] = RateLimiter(name, mode=None, **wanted)
    else:
        rate.resize(**wanted)
    return rate


def _breaker(name: str, settings: PolicySettings) -> CircuitBreaker | None:
    if not settings.breaker:
        return None
    wanted: dict[str, Any] = {
        "failure_rate": settings.failure_rate,
        "slow_call_seconds": settings.slow_call_seconds,
        "open_seconds": settings.open_seconds,
    }
    return _kept(_named.breakers, name, wanted, lambda: CircuitBreaker(name, mode=None, **wanted))


def _retry(name: str, settings: PolicySettings) -> Retry | None:
    if settings.attempts == 1:
        return None
    attempts = settings.attempts
    make = partial(Retry, name, attempts=attempts, total_timeout=None, budget=name, mode=None)
    return _kept(_named.retries, name, attempts, make)


def _kept(kept: dict[str, tuple[object, T]], name: str, wanted: object, make: Callable[[], T]) -> T:
    """Return what was made of the same settings before, or make it."""
    if name not in kept or kept[name][0] != wanted:
        kept[name] = (wanted, make())
    return kept[name][1]


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
