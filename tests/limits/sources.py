"""A mode source for tests."""

from __future__ import annotations

from collections.abc import Callable

FANOUT = ("bounded-fanout",)
EVERYTHING = ("bounded-fanout", "provider-rates", "governed-breaker", "jittered-retry", "central-manager")


class Source:
    """Says one mode for some capabilities, and tells subscribers when the test turns it."""

    def __init__(self, mode: str = "off", *capabilities: str) -> None:
        self._mode = mode
        self._capabilities = capabilities or FANOUT
        self._callbacks: list[Callable[[], None]] = []

    def mode(self, capability: str) -> str:
        assert capability in self._capabilities
        return self._mode

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def turn(self, mode: str) -> None:
        self._mode = mode
        for callback in tuple(self._callbacks):
            callback()
