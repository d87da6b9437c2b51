"""A pool behind the drop-in: it opens what is asked for, lends it as connections of their own, and makes it fresh."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from penstock_limits import Mode, emit
from penstock_limits.introspection import CallSite

from penstock_pooling._asyncpg.forks import forks
from penstock_pooling._asyncpg.holder import Holder
from penstock_pooling._asyncpg.pool import Pool
from penstock_pooling._connect.lent import LentConnection, Loan, lent_upon
from penstock_pooling._connect.session import Session
from penstock_pooling._pools.environment import environment
from penstock_pooling._pools.errors import PoolQueueFullError, PoolTimeoutError
from penstock_pooling._pools.statistics import PoolStatistics

__all__ = ["ConnectPool", "EnvironmentChangedError", "ReturnCounters"]

INACTIVE = 60.0  # seconds after which an idle connection is closed
SETTINGS = ("rag_pool_max_size", "database_operation_timeout (or the timeout of the call)")  # what a user can raise
BETWEEN_LOOKS = 1.0  # seconds between two looks for forgotten connections


class EnvironmentChangedError(asyncpg.InterfaceError):  # type: ignore[misc]
    """What would be opened now would be a connection of another pool: a variable has changed while a caller waited."""


class ReturnCounters:
    """How connections came back, over all pools of the drop-in.

    Attributes:
        cleaned: Sessions in which a borrower had left something, and that were made fresh.
        discarded: Sessions that could not be made fresh, and were closed.
        dropped: Connections that were forgotten without being closed.
    """

    def __init__(self) -> None:
        self.cleaned = self.discarded = self.dropped = 0


class ConnectPool(Pool):
    """The connections of one set of connect arguments, in one event loop.

    Args:
        name: What people know it by.
        max_size: Connections that may be open.
        dsn: As for `asyncpg.connect`.
        arguments: More arguments for it.
        record_class: As for it.
        completed_by: The variables of the environment that complete the arguments.
        counters: Where returns are counted.
        has_enough: Asked when a connection comes back: whether enough are idle in the loop, in all pools together.

    Attributes:
        soon_idle: Connections that are being made fresh.
    """

    def __init__(
        self,
        name: str,
        *,
        max_size: int,
        dsn: str | None,
        arguments: dict[str, Any],
        record_class: type,
        completed_by: tuple[Any, ...],
        counters: ReturnCounters,
        has_enough: Callable[[], bool],
    ) -> None:
        super().__init__(
            name=name,
            mode=None,
            min_size=0,
            max_size=max_size,
            max_inactive_connection_lifetime=INACTIVE,
            check_server=False,  # it would be asked in the name, and with the deadline, of the first borrower
            connection_class=Session,
            record_class=record_class,
        )
        self.set_connect_args(dsn, **arguments)
        self._completed_by = completed_by
        self._ends = counters
        self._has_enough = has_enough
        self.soon_idle = 0
        self._told_of: set[tuple[str, str]] = set()
        self._observed = 0  # connections that are out and not the pool's
        self._observed_or_connecting = 0
        self._is_over = False
        self._next_look = 0.0  # in the loop's time
        self._is_look_planned = False

    def is_here(self) -> bool:
        """Tell whether this is the process in which it was opened."""
        return forks.count == self._forks

    def check_loop(self) -> None:
        """See that it is used where it was opened.

        Raises:
            PoolPlaceError: It is not.
        """
        self._check_place()

    def is_unused(self) -> bool:
        """Tell whether nothing is open, being opened, lent or waited for."""
        are_all_free = self._queue.qsize() == len(self._holders)  # one that is connecting is neither free nor lent
        return are_all_free and not (
            self._observed_or_connecting or self._queue.waiting() or self._background or self.get_size()
        )

    # --- lending

    async def lend(self, connection_class: type, patience: float, site: CallSite) -> LentConnection:
        """Lend a connection of a class.

        Args:
            connection_class: The class that the borrower wants.
            patience: How many seconds to wait at most.
            site: The borrower's line of code.

        Raises:
            PoolTimeoutError: As for `Pool.acquire()`; likewise its other errors.
        """
        proxy = await self._lend(patience, site, lexical=False)
        session, holder = proxy._con, proxy._holder
        try:
            lent = lent_upon(Loan(self, session), connection_class)
        except BaseException:
            await self.release(proxy)
            raise
        holder.stand_in = weakref.ref(lent)
        return lent

    async def _get_new_connection(self) -> Any:
        if self._completed_by != environment():
            raise EnvironmentChangedError("the environment has changed")
        return await super()._get_new_connection()

    async def _wait(self, patience: float | None) -> Holder | None:
        self._look_for_forgotten()
        return await super()._wait(patience)

    def _look_for_forgotten(self) -> None:
        """Have Python's collector look at once for connections that were forgotten in a cycle of references.

        A connection and its open transaction are one, and a program that only waits makes nothing that would bring the
        collector on its way. It is asked only where the task of a borrower has ended, and not again and again.
        """
        if not any(holder.has_lost_borrower() for holder in self._borrowers.lent):
            return
        now = self._loop.time()
        if now >= self._next_look:
            self._next_look = now + BETWEEN_LOOKS
            gc.collect()
        elif not self._is_look_planned:
            self._is_look_planned = True
            pool: weakref.ref[ConnectPool] = weakref.ref(self)
            self._loop.call_at(self._next_look, _look_again, pool)

    def look_again(self) -> None:
        """Look for forgotten connections, if somebody still waits."""
        self._is_look_planned = False
        if self._queue.waiting():
            self._look_for_forgotten()

    async def take_back(self, loan: Loan, timeout: float | None) -> None:  # noqa: ASYNC109 - of asyncpg's close()
        """Make a session fresh and keep it, or close it.

        Args:
            loan: What was borrowed.
            timeout: How many seconds that may take; None for as many as the pool has patience.

        Raises:
            TimeoutError: It took longer than `timeout`; the session is cut off.
        """
        holder = loan.session.holder()
        if holder is not None:  # else it was lost meanwhile
            # A cancelled borrower does not stop this: else its place would be free before the server has let go.
            await asyncio.shield(self._in_background(self._taken_back(holder, loan, timeout)))

    async def _taken_back(self, holder: Holder, loan: Loan, timeout: float | None) -> None:  # noqa: ASYNC109 - likewise
        loan.session.state, loan.session.codecs = loan.state, loan.codecs
        if not self._may_keep(holder):
            holder.outdate()
        borrower, is_kept = str(holder.site), holder.is_current()
        self.soon_idle += is_kept
        try:
            await holder.release(self._patience_with(loan) if timeout is None else timeout)
        except TimeoutError as error:
            self._note_discarded(borrower, error)
            if timeout is not None:
                raise
        except Exception as error:  # noqa: BLE001 - its connection is closed, which is what the borrower wanted
            self._note_discarded(borrower, error)
        else:
            if is_kept and (loan.state.resettable or loan.codecs):
                self._note_cleaned(borrower, loan)
        finally:
            self.soon_idle -= is_kept

    def _patience_with(self, loan: Loan) -> float:
        """Return for how many seconds a session may take to come back: as for asyncpg's own close, but not for ever."""
        of_commands: float | None = loan.session._config.command_timeout
        return self._patience if of_commands is None else min(self._patience, of_commands)

    def _may_keep(self, holder: Holder) -> bool:
        if self._is_over or self.mode is not Mode.ENFORCE:
            return False
        if not self._queue.waiting() and self._has_enough():
            return False
        return not self._is_outdated(holder, self._loop.time())

    def end(self, loan: Loan) -> None:
        """Close a session for good, in its own time; may be called in any thread."""
        if not self._loop.is_running():
            loan.session.terminate()
        elif asyncio._get_running_loop() is self._loop:
            self._end_soon(loan)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._end_soon, loan)

    def _end_soon(self, loan: Loan) -> None:
        holder = loan.session.holder()
        if holder is None:
            return
        if loan.dropped:
            self._ends.dropped += 1
            held = self._loop.time() - holder.lent_at
            emit("pool.dropped", self.name, borrower=str(holder.site), seconds=held)
        self._in_background(self._end(loan.session))

    async def _end(self, session: Session) -> None:
        """Close a session so that the server has let go before the place comes free."""
        try:
            async with asyncio.timeout(self._patience):
                await session._protocol._wait_for_cancellation()
                # Refused if a query is running, which has to be cut off.
                await session.execute("ROLLBACK", timeout=self._patience)
                await session.close()
        except Exception:  # noqa: BLE001 - it is closed all the same
            session.terminate()
        except BaseException:
            session.terminate()
            raise

    # --- what is told

    def _told(self, what: str, error: PoolTimeoutError | PoolQueueFullError) -> Exception:
        if isinstance(error, PoolTimeoutError):
            error.settings = SETTINGS
        return super()._told(what, error)

    def _note_cleaned(self, borrower: str, loan: Loan) -> None:
        self._ends.cleaned += 1
        left = loan.state.resettable | ({"type codecs"} if loan.codecs else set())
        self._tell_once("pool.session_cleaned", borrower, ", ".join(sorted(left)))

    def _note_discarded(self, borrower: str, error: Exception) -> None:
        self._ends.discarded += 1
        self._tell_once("pool.session_discarded", borrower, str(error) or type(error).__name__)

    def _tell_once(self, event: str, borrower: str, what: str) -> None:
        """Tell of a line of code once, as it may do so for each of a million connections."""
        if (event, borrower) not in self._told_of:
            self._told_of.add((event, borrower))
            emit(event, self.name, borrower=borrower, what=what)

    # --- when it does not lend

    async def observe(self, connecting: Awaitable[Any]) -> Any:
        """Connect somebody past the pool; count what it would have done, and the connection until it is closed.

        Args:
            connecting: What connects.

        Raises:
            Exception: What that raises.
        """
        self._counters.note_unpooled(self._observed_or_connecting, self._maxsize, None)
        self._observed_or_connecting += 1
        try:
            connection = await connecting
        except BaseException:
            self._observed_or_connecting -= 1
            raise
        self._observe_until_closed(connection)
        return connection

    def _observe_until_closed(self, connection: asyncpg.Connection) -> None:
        self._observed += 1
        self._counters.acquired += 1
        self._counters.opened += 1
        self._counters.peak_running = max(self._counters.peak_running, self._observed + len(self._borrowers.lent))
        began = self._loop.time()

        def ended(_: object) -> None:
            self._observed -= 1
            self._observed_or_connecting -= 1
            self._counters.note_hold(self._loop.time() - began)

        connection.add_termination_listener(ended)

    def statistics(self) -> PoolStatistics:
        """Return a snapshot of its counters."""
        known = super().statistics()
        return dataclasses.replace(known, running=known.running + self._observed, open=known.open + self._observed)

    # --- the end

    async def retire(self) -> None:
        """Close what is idle, and what is out when it comes back, for which nobody waits here."""
        self._is_over = True
        self._queue.refuse_all(lambda: asyncpg.InterfaceError("pool is closing"))
        for holder in self._queue.free():
            if holder.is_connected() and self._queue.remove(holder):
                self._in_background(self._close_idle(holder))
        if self._background:
            await asyncio.wait(self._background)


def _look_again(reference: weakref.ref[ConnectPool]) -> None:
    """The timer must not keep a pool alive."""
    pool = reference()
    if pool is not None:
        pool.look_again()
