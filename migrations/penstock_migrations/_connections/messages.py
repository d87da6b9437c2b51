"""Says in words what is opened for each operation, and where it should come from."""

from __future__ import annotations

from penstock_migrations._connections.openings import Opening

__all__ = ["describe", "listed"]

_SHOWN = 2


def describe(opening: Opening, what: str) -> str:
    """Say what is opened, and for which operations."""
    name = opening.opener.name
    if opening.function.name in {operation.rpartition(".")[2] for operation in opening.operations}:
        return f"{name} opens {what} in each call of {opening.function.name}"
    if not opening.operations:
        return f"{name} opens {what} for each caller of {opening.function.name}"
    return f"{name} in {opening.function.name} opens {what} for each call of {listed(opening.operations)}"


def listed(operations: tuple[str, ...]) -> str:
    """Name the first of some operations, and say how many more there are."""
    shown = ", ".join(operations[:_SHOWN])
    more = len(operations) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
