"""`create_task`: asyncio.create_task, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

from penstock_limits._errors import ConfigurationError
from penstock_limits._fanout.admission import admitted
from penstock_limits._fanout.lending import CountedPermit, current_permit, living
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._modes import Mode
from penstock_limits._names import limiter_for

__all__ = ["create_task"]

T = TypeVar("T")


def create_task(
    coro: Coroutine[Any, Any, T],
    *,
    limit: str | Limiter | None,
    name: str | None = None,
    context: Context | None = None,
) -> asyncio.Task[T]:
    """Create a task like `asyncio.create_task`, whose coroutine starts when a limit admits it.

    The task is there at once, and waits in its first step; cancelling it before it was admitted closes the coroutine.
    Like a child of `gather`, the coroutine lends its permit to what it fans out under the same limiter. All tasks still
    exist at once: where their number matters for memory, use `bounded_map`.

    Args:
        coro: The coroutine.
        limit: The name of a limit, or a Limiter, and as its mode says: off calls `asyncio.create_task` and only
            counts. None is `asyncio.create_task`.
        name: The task's name.
        context: The context to run in, itself and not a copy. Work in a context that is given this way does not know of
            its permit: what it fans out under the same limiter needs permits of its own.

    Returns:
        The task. It fails with QueueFullError if the limiter's queue is full.

    Raises:
        ConfigurationError: `limit` is none of these; the coroutine is closed.
        UnknownLimitError: No limit has this name, and the mode is `enforce`; the coroutine is closed.
    """
    options: dict[str, Any] = {} if name is None else {"name": name}
    if context is not None:
        options["context"] = context
    limiter = _limiter(limit, coro)
    if limiter is None or not asyncio.iscoroutine(coro):
        return asyncio.create_task(coro, **options)
    if limiter.mode is Mode.OFF:
        return _create_counted(coro, limiter, options)
    admitted = _run(coro, limiter, knows=context is None)
    try:
        task = asyncio.create_task(admitted, **options)
    except BaseException:
        admitted.close()
        raise
    task.add_done_callback(lambda _: coro.close())  # it may have been cancelled before its first step
    return task


def _limiter(limit: str | Limiter | None, coro: Coroutine[Any, Any, Any]) -> Limiter | None:
    try:
        if isinstance(limit, int):
            raise ConfigurationError(f"limit = {limit!r} would limit this one task; allowed are a name or a Limiter")
        return None if limit is None else limiter_for(limit)
    except ConfigurationError:
        if asyncio.iscoroutine(coro):
            coro.close()
        raise


def _create_counted(coro: Coroutine[Any, Any, T], limiter: Limiter, options: dict[str, Any]) -> asyncio.Task[T]:
    permit = CountedPermit(limiter, living(current_permit.get()))
    here = copy_context()
    if "context" not in options:
        here.run(current_permit.set, permit)
    create: Any = asyncio.create_task
    task: asyncio.Task[T] = here.run(create, coro, **options)
    permit.count(1)
    task.add_done_callback(permit)
    limiter.mode_changed()
    return task


async def _run(coro: Coroutine[Any, Any, T], limiter: Limiter, *, knows: bool) -> T:
    permit = await admitted(limiter)
    if knows:
        current_permit.set(permit)
    try:
        return await coro
    finally:
        permit.end()
