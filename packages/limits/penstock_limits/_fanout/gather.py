"""`gather`: asyncio.gather, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import copy_context
from typing import Any, Literal, TypeVar, overload

from penstock_limits._errors import ConfigurationError
from penstock_limits._fanout.admission import OwnAdmission, SharedAdmission
from penstock_limits._fanout.gathering import Gathered, gather_bounded
from penstock_limits._fanout.lending import CountedPermit, current_permit, living
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._modes import Mode
from penstock_limits._names import Limit, limiter_for, own_limit

__all__ = ["gather"]

# The overloads are typeshed's for asyncio.gather; a call with one argument fits the last two as well.
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")


@overload
def gather(  # pyright: ignore[reportOverlappingOverload]
    aw1: Awaitable[T1],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[tuple[T1]]: ...


@overload
def gather(  # pyright: ignore[reportOverlappingOverload]
    aw1: Awaitable[T1],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[tuple[T1 | BaseException]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[tuple[T1, T2]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[tuple[T1 | BaseException, T2 | BaseException]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[tuple[T1, T2, T3]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[tuple[T1 | BaseException, T2 | BaseException, T3 | BaseException]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    aw4: Awaitable[T4],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[tuple[T1, T2, T3, T4]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    aw4: Awaitable[T4],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[tuple[T1 | BaseException, T2 | BaseException, T3 | BaseException, T4 | BaseException]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    aw4: Awaitable[T4],
    aw5: Awaitable[T5],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[tuple[T1, T2, T3, T4, T5]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    aw4: Awaitable[T4],
    aw5: Awaitable[T5],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[
    tuple[T1 | BaseException, T2 | BaseException, T3 | BaseException, T4 | BaseException, T5 | BaseException]
]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    aw4: Awaitable[T4],
    aw5: Awaitable[T5],
    aw6: Awaitable[T6],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[tuple[T1, T2, T3, T4, T5, T6]]: ...


@overload
def gather(
    aw1: Awaitable[T1],
    aw2: Awaitable[T2],
    aw3: Awaitable[T3],
    aw4: Awaitable[T4],
    aw5: Awaitable[T5],
    aw6: Awaitable[T6],
    /,
    *,
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[
    tuple[
        T1 | BaseException,
        T2 | BaseException,
        T3 | BaseException,
        T4 | BaseException,
        T5 | BaseException,
        T6 | BaseException,
    ]
]: ...


@overload
def gather(
    *aws: Awaitable[T1],
    limit: Limit | None = None,
    return_exceptions: Literal[False] = False,
) -> asyncio.Future[list[T1]]: ...


@overload
def gather(
    *aws: Awaitable[T1],
    limit: Limit | None = None,
    return_exceptions: Literal[True],
) -> asyncio.Future[list[T1 | BaseException]]: ...


def gather(*aws: Awaitable[Any], limit: Limit | None = None, return_exceptions: bool = False) -> asyncio.Future[Any]:
    """Gather like `asyncio.gather`, but never run more coroutines at once than a limit allows.

    Returns the same kind of Future, at once, with the same semantics: results in order, the first exception
    propagates while the others go on, cancelling it cancels the children, one object given twice is one child.
    Coroutines start when they are admitted, with the context variables of the call; futures and tasks pass through,
    uncounted, since they run already. One call is one waiter in the limiter's queue, and goes to the queue's end after
    each admission, so several calls take turns.

    A coroutine admitted by a limiter that gathers on the same limiter lends its permit to its children until the last
    of them ends, so nesting never deadlocks. Such a call is never refused.

    Args:
        *aws: Coroutines, futures, tasks and other awaitables.
        limit: A whole number from 1: a limit for this call alone, enforced. A name or a Limiter: shared, and as its
            mode says - off calls `asyncio.gather` and only counts. None is `asyncio.gather`.
        return_exceptions: Whether exceptions are results.

    Returns:
        A Future of the list of results. If the limiter's queue is full it fails with QueueFullError, and no coroutine
        is started.

    Raises:
        ConfigurationError: `limit` is none of these; the coroutines are closed.
        UnknownLimitError: No limit has this name, and the mode is `enforce`; the coroutines are closed.
    """
    if limit is None:
        return asyncio.gather(*aws, return_exceptions=return_exceptions)  # penstock: ignore[PEN101] the drop-in itself
    try:
        number = own_limit(limit)
        limiter = None if number is not None else limiter_for(limit)
    except ConfigurationError:
        for awaitable in aws:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
        raise
    if number is not None:
        return gather_bounded(aws, lambda fan_out: OwnAdmission(fan_out, number), return_exceptions=return_exceptions)
    if limiter is None:
        return asyncio.gather(*aws, return_exceptions=return_exceptions)  # penstock: ignore[PEN101] the drop-in itself
    if limiter.mode is Mode.OFF:
        return _gather_counted(limiter, aws, return_exceptions=return_exceptions)
    return gather_bounded(aws, lambda fan_out: SharedAdmission(fan_out, limiter), return_exceptions=return_exceptions)


def _gather_counted(limiter: Limiter, aws: tuple[Awaitable[Any], ...], *, return_exceptions: bool) -> Gathered:
    """Call asyncio.gather and count its children as running, so that enforcing later knows of them."""
    permit = CountedPermit(limiter, living(current_permit.get()))
    context = copy_context()
    context.run(current_permit.set, permit)
    outer: Gathered = context.run(asyncio.gather, *aws, return_exceptions=return_exceptions)
    given = set(map(id, aws))
    children = {id(child): child for child in getattr(outer, "_children", ()) if id(child) not in given}
    permit.count(len(children))
    for child in children.values():
        child.add_done_callback(permit)
    limiter.mode_changed()  # whoever waits since the mode was another may come in too
    return outer
