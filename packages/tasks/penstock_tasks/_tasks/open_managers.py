"""Which managers are open in which event loop, so that a task made by the drop-in has an owner."""

from __future__ import annotations

import asyncio

from penstock_tasks._tasks.intake import Intake

__all__ = ["forget", "open_manager", "remember"]

_managers: dict[asyncio.AbstractEventLoop, list[Intake]] = {}


def open_manager(loop: asyncio.AbstractEventLoop) -> Intake | None:
    """Return the manager that was entered last in a loop, and is open; None if none is."""
    managers = _managers.get(loop)
    return managers[-1] if managers else None


def remember(manager: Intake) -> None:
    """Take note that a manager was entered, and forget those of closed loops."""
    for loop in [each for each in tuple(_managers) if each.is_closed()]:
        _managers.pop(loop, None)
    _managers.setdefault(manager._the_loop(), []).append(manager)


def forget(manager: Intake) -> None:
    """Take note that a manager is open no more."""
    loop = manager._the_loop()
    left = [each for each in _managers.pop(loop, ()) if each is not manager]
    if left:
        _managers[loop] = left
