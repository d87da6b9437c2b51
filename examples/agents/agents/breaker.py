"""A circuit breaker for the provider, so that an outage there does not pile up here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any


class BreakerOpenError(RuntimeError):
    """The provider failed too often lately; nobody is asked until the breaker closes."""


class CircuitBreaker:
    """Opens after `threshold` failures in a row and lets calls through again after `reset_after` seconds."""

    def __init__(self, threshold: int = 5, reset_after: float = 30.0) -> None:
        self.threshold = threshold
        self.reset_after = reset_after
        self.enabled = True
        self.failures = 0
        self.opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        if self.opened_at is None:
            return False
        return time.monotonic() - self.opened_at < self.reset_after

    async def call(
        self,
        fn: Callable[..., Awaitable[Any]],
        *args: Any,
        ignore: tuple[type[Exception], ...] = (),
    ) -> Any:
        """Await `fn(*args)`; exceptions of the `ignore` types are no failures."""
        if not self.enabled:
            return await fn(*args)
        if self.is_open:
            raise BreakerOpenError(f"{self.failures} failures in a row, closed again in {self.reset_after:.0f} s")
        try:
            result = await fn(*args)
        except ignore:
            raise
        except Exception:
            self.failures += 1
            if self.failures >= self.threshold:
                self.opened_at = time.monotonic()
            raise
        self.reset()
        return result

    def reset(self) -> None:
        self.failures = 0
        self.opened_at = None

    def disable(self) -> None:
        """For load tests, where a few errors are part of the plan."""
        self.enabled = False
