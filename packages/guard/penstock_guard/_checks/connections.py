"""Pools that had more connections out than they may have, or have not got them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import penstock_limits

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch

__all__ = ["Connections"]

BEYOND: Final = ("PEN201", "Borrow from the pool instead of connecting for each operation.")
KEPT: Final = ("PEN601", "Borrow with `async with` or `with`, so that the connection goes back.")


class Connections:
    """Reads the statistics of the resources of kind `pool`."""

    names = ("connections",)

    def before(self, watch: Watch) -> dict[Any, tuple[int, int]]:
        """Read what was out before."""
        return {pool: (_running(numbers), _peak(numbers)) for pool, numbers in _pools()}

    def after(self, watch: Watch, state: dict[Any, tuple[int, int]]) -> Iterator[Accusation]:
        """Accuse pools that were exceeded, and those that miss connections."""
        for pool, numbers in _pools():
            running, peak = state.get(pool, (0, 0))
            if peak < _peak(numbers) > numbers.max_running:
                message = (
                    f"the pool {pool.name!r} had {_peak(numbers)} connections out; its most is {numbers.max_running}"
                )
                yield accuse("connections", BEYOND, message, None)
            if _running(numbers) > running:
                message = f"the pool {pool.name!r} has not got back {_running(numbers) - running} of its connections"
                yield accuse("connections", KEPT, message, None)


def _pools() -> Iterator[tuple[Any, Any]]:
    for resource in penstock_limits.resources():
        if resource.kind == "pool":
            numbers: Any = resource.statistics()
            if hasattr(numbers, "max_running"):
                yield resource, numbers


def _running(numbers: Any) -> int:
    return int(getattr(numbers, "running", 0))


def _peak(numbers: Any) -> int:
    return int(getattr(numbers, "peak_running", 0))
