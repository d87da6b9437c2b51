"""A mode source for tests."""

from __future__ import annotations

from collections.abc import Callable


class Source:
    """Says the mode of `bounded-fanout`, and tells subscribers when the test turns it."""

    def __init__(self, mode: str = "off") -> None:
        self._mode = mode
        self._callbacks: list[Callable[[], None]] = []

    def mode(self, capability: str) -> str:
        assert capability == "bounded-fanout"
        return self._mode

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def turn(self, mode: str) -> None:
        self._mode = mode
        for callback in tuple(self._callbacks):
            callback()
