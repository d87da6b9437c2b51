"""Named pools of psycopg connections and of SQLAlchemy engines, for `DatabasePoolManager`."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Generator
from types import EllipsisType, TracebackType
from typing import Any, Self

from penstock_limits import Mode, emit, enter_resource, leave_resource
from penstock_limits.introspection import CallSite, call_site

from penstock_pooling._pools.callers import LIBRARIES
from penstock_pooling._pools.checks import sizes
from penstock_pooling._pools.errors import PoolPlaceError, PoolTimeoutError
from penstock_pooling._sessions.sessions import PATIENCE, SessionPool
from penstock_pooling._sessions.waiters import Loan
from penstock_pooling._settings import PoolSettings

__all__ = ["Borrowing", "NamedPool"]

GLANCE = 0.005  # seconds between two looks at what is still out, at the end
SWEEP_EVERY = 10.0  # seconds between two looks at what nobody has needed for long


class NamedPool(SessionPool):
    """A pool with sizes of its own; it is opened by `await`, in the event loop to which it belongs.

    Args:
        name: What people know it by.
        settings: Its settings.
        mode: Its mode; None for that of the capability `pooled-database`.
    """

    to_raise = PoolTimeoutError.settings

    def __init__(self, name: str, settings: PoolSettings, mode: Mode | None) -> None:
        self._settings = settings
        self._fixed_mode = mode
        self._sizes = settings.min_size, settings.max_size
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._swept = time.monotonic()
        super().__init__(name)

    # --- what its settings say

    @property
    def min_size(self) -> int:
        """How many connections are kept open."""
        return self._sizes[0]

    @property
    def max_size(self) -> int:
        """How many connections may be out, and open."""
        return self._sizes[1]

    @property
    def max_queued(self) -> int | None:
        """How many callers may wait; None for any number."""
        return self._settings.max_queued

    @property
    def patience(self) -> float | None:
        """How many seconds a caller waits; None for any time."""
        return self._settings.acquire_timeout

    @property
    def lifetime(self) -> float:
        """For how many seconds a session may be lent."""
        return math.inf if self._settings.max_lifetime is None else self._settings.max_lifetime

    @property
    def idle_lifetime(self) -> float:
        """After how many seconds a session that nobody needs is closed."""
        return self._settings.max_inactive_connection_lifetime or math.inf

    # --- what a driver says

    @abstractmethod
    async def _connect(self) -> Any:
        """Return a connection of no pool."""

    @abstractmethod
    async def _pooled(self, site: CallSite, timeout: float | None) -> Any:  # noqa: ASYNC109 - the queue says what a timeout is
        """Return a connection of this pool; None if the pool has gone meanwhile."""

    @abstractmethod
    async def _cancel(self, loan: Loan) -> None:
        """Cancel what runs in the session of somebody who has kept it too long; it may raise anything."""

    @abstractmethod
    def _cut_off(self, loan: Loan) -> None:
        """End the session of somebody who has kept it too long."""

    # --- lending

    def __await__(self) -> Generator[Any, None, Self]:
        return self._open().__await__()

    async def _open(self) -> Self:
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        opened: list[Any] = []
        try:
            if self.mode is Mode.ENFORCE:
                while len(opened) < self.min_size:
                    opened.append(await self.acquire())
        except BaseException:
            self.terminate()
            raise
        finally:
            for connection in opened:
                await connection.close()
        if not self._closing:
            enter_resource(self)
            self.mode_changed()  # which nobody has told it so far
        return self

    def acquire(self, *, timeout: float | None = None) -> Borrowing:
        """Borrow a connection: `async with pool.acquire() as connection`, or `await` it and `release()` it.

        Args:
            timeout: How many seconds to wait at most; None means the pool's `acquire_timeout`.

        Raises:
            PoolTimeoutError: None was free, or could be opened, in time.
            PoolQueueFullError: As many callers wait as may wait.
            PoolDeadlockError: All are held by the caller, or by tasks that wait for one as it does.
            PoolPlaceError: The pool was opened in another event loop or process.
            RuntimeError: The pool is closed.
        """
        return Borrowing(self, timeout, call_site(*LIBRARIES))

    async def release(self, connection: Any) -> None:
        """Give a connection back; giving it back twice does no harm.

        Args:
            connection: The connection.
        """
        await connection.close()

    async def borrowed(self, site: CallSite, timeout: float | None) -> Any:  # noqa: ASYNC109 - the queue says what a timeout is
        """Return a connection, whatever the mode."""
        while True:
            self.check()
            self._sweep()
            mode = self.mode
            if mode is not Mode.ENFORCE:
                connection = await self._connect()
                return self.watched(connection) if mode is Mode.OBSERVE else connection
            connection = await self._pooled(site, self.patience if timeout is None else timeout)
            if connection is not None:
                return connection

    @contextlib.asynccontextmanager
    async def _in_time(self, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109 - likewise
        """Give up connecting when the caller has waited for as long as it would."""
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                yield
        except TimeoutError as error:
            if not deadline.expired():
                raise
            with self._locked():
                self._counters.timed_out += 1
            assert timeout is not None
            raise self._refusal(PoolTimeoutError(self._name, 0, timeout, "")) from error

    def check(self) -> None:
        """Refuse whoever is in another event loop or process than the pool, or too late.

        Raises:
            PoolPlaceError: It was opened in another event loop or process.
            RuntimeError: It is closed.
        """
        if self._loop is not asyncio.get_running_loop() or self._pid != os.getpid():
            raise PoolPlaceError(self._name, "event loop" if self._pid == os.getpid() else "process")
        if self._closing:
            raise RuntimeError(f"pool {self._name!r} is closed: open it again, or borrow before it is closed")

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            self.close_idle(now)

    # --- sizes, and the end

    def resize(self, *, min_size: int, max_size: int) -> None:
        """Change how many connections are kept and may be open, with work in flight.

        Args:
            min_size: Connections that are kept open.
            max_size: Connections that may be open.

        Raises:
            ConfigurationError: A value is wrong.
        """
        self._sizes = sizes(f"pool {self._name!r}", min_size, max_size)
        with self._locked():
            self._serve()

    resize_soon = resize  # it may be called in any thread

    def is_closing(self) -> bool:
        """Tell whether it is closed, or about to be."""
        return self._closing

    def is_gone(self) -> bool:
        """Tell whether nothing can be done with it any more: it was closed, or left by its loop or its process."""
        left = self._pid != os.getpid() or (self._loop is not None and self._loop.is_closed())
        gone = self._closing or left
        if gone:
            leave_resource(self)
        return gone

    async def close(self, *, timeout: float | EllipsisType | None = ...) -> None:  # type: ignore[override] # noqa: ASYNC109 - as the pools have it
        """Wait for connections that are out, then close them all; who waits for one is refused.

        Args:
            timeout: How many seconds to wait before what is still out is cut off and told, None for any time; the
                pool's `close_timeout` if it is not given.

        Raises:
            PoolPlaceError: The pool was opened in another event loop or process.
        """
        if self._closing:
            return
        self.check()
        self._refuse_all()
        patience = self._settings.close_timeout if isinstance(timeout, EllipsisType) else timeout
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while self._lent:  # noqa: ASYNC110 - they may come back in any way
                        await asyncio.sleep(GLANCE)
            self._tell_abandoned()
            await self._cancel_all()
            await self._end_idle()
        finally:
            self.terminate()

    def terminate(self) -> None:
        """Cut off all connections; who waits for one is refused."""
        leave_resource(self)
        self._refuse_all()
        self.end_idle()
        self._tell_abandoned()
        for loan in list(self._lent):
            self._cut_off(loan)
            self.give_back(loan)

    def _tell_abandoned(self) -> None:
        """Tell, once, of what is out still."""
        if (left := len(self._lent)) and not self._counters.abandoned:
            self._counters.abandoned = left
            emit("pool.abandoned", self._name, connections=left, borrowers=self._out())

    async def _cancel_all(self) -> None:
        """Cancel what is running still: the server would go on with it after its client is gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*map(self._cancel, list(self._lent)), return_exceptions=True)

    async def _end_idle(self) -> None:
        self.end_idle()

    def _refuse_all(self) -> None:
        self._closing = True
        with self._locked():
            while self._waiters:
                self._pop().leave(admitted=False)


class Borrowing:
    """A connection to come, for `async with` or `await`."""

    __slots__ = ("_connection", "_pool", "_site", "_timeout")

    def __init__(self, pool: NamedPool, timeout: float | None, site: CallSite) -> None:
        self._pool = pool
        self._timeout = timeout
        self._site = site
        self._connection: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._pool.borrowed(self._site, self._timeout).__await__()

    async def __aenter__(self) -> Any:
        self._connection = await self
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        await connection.__aexit__(kind, error, traceback)
