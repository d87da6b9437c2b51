"""What is guarded: functions that can be called again, and the notes that their errors get."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from penstock_limits._errors import ConfigurationError

__all__ = ["check_function", "is_coroutine_function", "note"]


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Tell whether calling something makes a coroutine; an object may have an `async def __call__`."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def check_function(where: str, function: object) -> None:
    """Check that something can be called again.

    Raises:
        ConfigurationError: It yields, cannot be called, or is no function yet.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{where} cannot guard the generator function {function!r}: what it has yielded cannot be taken back. "
            f"Guard the call that may fail inside it"
        )
    if isinstance(function, (staticmethod, classmethod)):
        raise ConfigurationError(f"{where} guards functions: write it below @{type(function).__name__}, not above")
    if not callable(function):
        raise ConfigurationError(f"{where} guards functions; {function!r} cannot be called")


def note(error: BaseException, what: str, more: str) -> None:
    """Add a note to an error, in place of an earlier one: the same error may be raised again and again."""
    with contextlib.suppress(Exception):  # an error that takes no notes is raised without
        notes = getattr(error, "__notes__", [])
        notes[:] = [note for note in notes if not str(note).startswith(what)]
        error.add_note(what + more)
