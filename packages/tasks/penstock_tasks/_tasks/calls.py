"""What is run in a task: the coroutine that a function returns, and what people know it by."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["called", "coroutine_name", "function_name"]

T = TypeVar("T")


def called(function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]) -> Coroutine[Any, Any, T]:
    """Call an async function, and return its coroutine.

    Raises:
        TypeError: The function returns none.
    """
    coro = function(*args)
    if not asyncio.iscoroutine(coro):
        raise TypeError(f"start_soon() calls an async function; {function!r} has returned {coro!r}")
    return coro


def function_name(function: Callable[..., Any]) -> str:
    """Return the qualified name of a function, or that of the class of something else that is called."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def coroutine_name(task: Task[Any]) -> str:
    """Return the qualified name of what a task runs."""
    coro = task.get_coro()
    return getattr(coro, "__qualname__", None) or type(coro).__qualname__
