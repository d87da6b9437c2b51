"""Makes a pool in the way that asyncpg does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
from penstock_limits import Mode

from penstock_pooling._asyncpg.pool import Pool

__all__ = ["create_pool"]


def create_pool(
    dsn: str | None = None,
    *,
    name: str | None = None,
    mode: Mode | str | None = Mode.ENFORCE,
    max_queued: int | None = None,
    acquire_timeout: float | None = 10.0,
    max_lifetime: float | None = 1_800.0,
    leak_after: float | None = 60.0,
    close_timeout: float | None = 30.0,
    check_server: bool = True,
    min_size: int = 10,
    max_size: int = 10,
    init_size: int | None = None,
    max_queries: int = 50_000,
    max_inactive_connection_lifetime: float = 300.0,
    connect: Callable[..., Any] | None = None,
    setup: Callable[[Any], Any] | None = None,
    init: Callable[[Any], Any] | None = None,
    reset: Callable[[Any], Any] | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
    connection_class: type = asyncpg.Connection,
    record_class: type = asyncpg.Record,
    **connect_kwargs: Any,
) -> Pool:
    """Make a pool, to open with `async with`, or with `await` and to close with `close()`.

    Args:
        dsn: How to connect, as for `asyncpg.create_pool`.
        name: As for `Pool`, and so are those down to `max_inactive_connection_lifetime`.
        mode: As for `Pool`.
        max_queued: As for `Pool`.
        acquire_timeout: As for `Pool`.
        max_lifetime: As for `Pool`.
        leak_after: As for `Pool`.
        close_timeout: As for `Pool`.
        check_server: As for `Pool`.
        min_size: As for `Pool`.
        max_size: As for `Pool`.
        init_size: As for `Pool`.
        max_queries: As for `Pool`.
        max_inactive_connection_lifetime: As for `Pool`.
        connect: As for `asyncpg.create_pool`, and so are all that follow.
        setup: As for asyncpg.
        init: As for asyncpg.
        reset: As for asyncpg.
        loop: As for asyncpg; None for that in which the pool is opened.
        connection_class: As for asyncpg.
        record_class: As for asyncpg.
        **connect_kwargs: As for `asyncpg.connect`.

    Raises:
        ConfigurationError: One of penstock's own values is wrong.
        ValueError: One of asyncpg's is.
    """
    given = dict(locals())
    return Pool(given.pop("dsn"), **given.pop("connect_kwargs"), **given)
