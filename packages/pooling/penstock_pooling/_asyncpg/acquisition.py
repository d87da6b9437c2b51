"""A connection to come: what `acquire()` of a pool returns."""

from __future__ import annotations

import sys
from asyncio import Task
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from asyncpg import InterfaceError
from asyncpg.pool import PoolAcquireContext
from penstock_limits.introspection import CallSite

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.pool import Pool

__all__ = ["Acquisition"]


class Acquisition(PoolAcquireContext):  # type: ignore[misc]
    """A connection to come, for `async with` or `await`."""

    __slots__ = ("_site", "_task")

    connection: Any
    done: bool
    pool: Any
    timeout: float | None

    def __init__(self, pool: Pool, timeout: float | None, site: CallSite, task: Task[Any] | None) -> None:
        # As asyncpg's own does, whose call would cost more than all this.
        self.pool, self.timeout, self.connection, self.done = pool, timeout, None, False  # type: ignore[misc]
        self._site = site
        self._task = task

    async def __aenter__(self) -> Any:
        if self.connection is not None or self.done:
            raise InterfaceError("a connection is already acquired")
        frame: FrameType | None = sys._getframe(1)
        task = self._task
        if frame is not None and frame.f_code is not self._site.code:
            frame = task = None  # the block is one of an exit stack, or of other code that is in between
        self.connection = await self.pool._lend(self.timeout, self._site, lexical=True, frame=frame, task=task)
        return self.connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        connection, self.connection, self.done = self.connection, None, True  # type: ignore[misc]
        try:
            await self.pool.release(connection)
        except Exception:
            if error is None:
                raise
            # A broken connection cannot be reset either, and is cut off; what broke in the block says more.

    def __await__(self) -> Any:
        self.done = True  # type: ignore[misc] # a slot of a class without types
        return self.pool._lend(self.timeout, self._site, lexical=False, task=self._task).__await__()
