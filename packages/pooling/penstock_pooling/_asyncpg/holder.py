"""One place in a pool: a connection, for how long it lives, and who has it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from asyncpg import InterfaceError
from asyncpg.pool import PoolConnectionHolder
from penstock_limits.introspection import CallSite

from penstock_pooling._asyncpg.ending import Ending, backend_of
from penstock_pooling._pools.lines import news_of

__all__ = ["Holder"]

TURNS = 5  # of the event loop: what was sent last is read, then the end of the line, then its loss is told
OUTDATED = -1  # no generation of any pool: asyncpg closes such a connection when it is given back


class Holder(PoolConnectionHolder):  # type: ignore[misc]
    """A place for one connection.

    Attributes:
        single_use: Whether the connection is closed when it is given back, and its place goes.
        expires: When the connection is to be replaced, in the loop's time.
        task: Who has borrowed it; a task that has ended may have the connection as its result, and is not kept alive.
        site: Which line of code has borrowed it.
        lexical: Whether it was borrowed for the length of an `async with` block.
        frame: The frame that has that block, and gives the connection back; None if that is not known.
        returning: What gives it back just now.
        lent_at: When, in the loop's time.
        idle_since: When it came back last.
        told: Whether it was told that it is out for too long.
        stand_in: What the borrower has in place of the pool's own proxy, if it has something else.
        backend: The number and the secret of the server's process.
        ending: The session of a connection that was cut off, until somebody waits for its end.
        opening: What connects, until that is known to have ended.
    """

    _con: Any
    _pool: Any
    _generation: int | None

    __slots__ = (
        "_expiry",
        "_news",
        "backend",
        "ending",
        "expires",
        "frame",
        "idle_since",
        "lent_at",
        "lexical",
        "opening",
        "returning",
        "single_use",
        "site",
        "stand_in",
        "task",
        "told",
    )

    def __init__(self, pool: Any, *, single_use: bool, **settings: Any) -> None:
        super().__init__(pool, **settings)
        self.single_use = single_use
        self.expires = math.inf
        self.task: weakref.ref[asyncio.Task[Any]] | None = None
        self.site: CallSite | None = None
        self.lexical = False
        self.frame: FrameType | None = None
        self.returning: asyncio.Task[Any] | None = None
        self.lent_at = self.idle_since = 0.0
        self.told = False
        self.stand_in: weakref.ref[Any] | None = None
        self.backend: tuple[Any, Any] = (None, None)
        self.ending: Ending | None = None
        self.opening: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._news: Callable[[], object] | None = None

    def is_ready(self) -> bool:
        """Tell whether its connection can be lent as it is, without waiting for anything."""
        connection = self._con
        return (
            connection is not None
            and not connection.is_closed()
            and self._generation == self._pool._generation
            and self._setup is None
        )

    async def connect(self) -> None:
        """Connect; this goes on for a while if who waits for it is cancelled, as the server may have the session."""
        if asyncio.current_task() is self._pool._maintenance_task:  # which nobody cancels before the pool is closed
            return await self._open()
        opening: asyncio.Task[None] = self._pool._in_background(self._open())
        self.opening = opening
        try:
            await asyncio.wait([opening])
        except asyncio.CancelledError:
            self._pool._loop.call_later(self._pool._patience, opening.cancel)
            raise
        finally:
            if opening.done():
                self.opening = None
        if opening.cancelled() and self._pool.is_closing():
            raise InterfaceError("pool is closing")
        return opening.result()

    async def _open(self) -> None:
        """Connect when the server has let go of what was there before, so that there is never one too many."""
        if self._con is not None:
            with contextlib.suppress(Exception):  # then it is cut off
                await self._con.close(timeout=self._pool._patience)
            self._con = None
        ending, self.ending = self.ending, None
        if ending is not None:
            await ending.reached(self._pool._patience)
        await super().connect()
        connection: Any = self._con
        self.backend = backend_of(connection)
        line = connection._transport.get_extra_info("socket")
        self._news = None if line is None else news_of(line.fileno())
        self._pool._note_opened(self)

    def has_news(self) -> bool:
        """Tell whether the server has sent something to a connection that nobody has: mostly, its end."""
        return self._news is not None and self.is_connected() and bool(self._news())

    async def hear(self) -> None:
        """Let the event loop take in what has come; the connection is closed if that was its end."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if not self.is_connected():
                return
        try:
            await self._con.execute("SELECT 1", timeout=self._pool._patience)
        except Exception:  # noqa: BLE001 - whatever it is, another is opened in its place
            self.terminate()

    def live(self, seconds: float) -> None:
        """Have the connection replaced after some time, idle or not."""
        self._cancel_expiry()
        self.expires = self._pool._loop.time() + seconds
        reference: weakref.ref[Holder] = weakref.ref(self)
        self._expiry = self._pool._loop.call_later(seconds, _expire, reference)

    def borrower(self) -> asyncio.Task[Any] | None:
        """Return who has borrowed it, if that is still there."""
        return None if self.task is None else self.task()

    def has_lost_borrower(self) -> bool:
        """Tell whether the task that has borrowed it has ended."""
        task = self.borrower()
        return self.task is not None and (task is None or task.done())

    def is_held(self) -> bool:
        """Tell whether it is out, and not on its way back."""
        connection = self._con if self.stand_in is None else self.stand_in()
        return self.returning is None and connection is not None and not connection.is_closed()

    def is_current(self) -> bool:
        """Tell whether its connection may be lent again."""
        return bool(self._generation == self._pool._generation)

    def outdate(self) -> None:
        """Have the connection closed when it is given back."""
        self._generation = OUTDATED  # type: ignore[misc] # a slot of a class without types

    async def make_ready(self) -> Any:
        """Lend the connection, or another in place of one that is outdated."""
        if self._con is None or self._con.is_closed() or not self.is_current():
            await self.connect()
        return await self.acquire()

    async def release(self, timeout: float | None) -> None:  # noqa: ASYNC109 - asyncpg's own shape
        if self.returning is not None:  # who gives it back a second time waits for the first
            await asyncio.shield(self.returning)
        elif self._in_use is not None:
            # asyncpg has it run in a task of its own
            self.returning = returning = asyncio.current_task(self._pool._loop)
            try:
                await super().release(timeout)
            finally:
                if self.returning is returning:  # else it was cut off, and may be lent again
                    self.returning = None

    def _release(self) -> None:
        if self._in_use is not None:
            self._pool._borrowers.take_back(self, self._pool._loop)
            self.stand_in = self.frame = self.returning = None
        super()._release()

    def _release_on_close(self) -> None:
        self._cancel_expiry()
        self._news = None
        if self._con._aborted and self._pool._may_wait():
            with contextlib.suppress(OSError, ValueError, AttributeError):  # there is no line to it any more
                self.ending = Ending(self._con, self.backend)
        super()._release_on_close()
        if self.ending is not None and self._pool._queue.remove(self):
            self._pool._queue.put_nowait(self)  # which lets nobody have it before that session has ended

    def terminate(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
        super().terminate()

    def _cancel_expiry(self) -> None:
        self.expires = math.inf
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def _expire(reference: weakref.ref[Holder]) -> None:
    """Replace an old connection that is idle; the timer must not keep a forgotten pool alive."""
    holder = reference()
    if holder is not None:
        holder._expiry = None
        holder._pool._expire_idle(holder)
