"""Connections of psycopg whose sessions are shared.

A psycopg connection is an object around a session of libpq, and all that a program sets in it besides the session -
factories, adapters, autocommit, handlers - is the object's. So each borrower gets a new object around a session that
was opened before, and keeps, after `close()`, an object that is closed for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import weakref
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import generators, pq, waiting
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict

from penstock_pooling._drop_ins.registry import Registry, key_of, server_of
from penstock_pooling._pools.lines import has_news
from penstock_pooling._sessions.sessions import PATIENCE, Session, SessionPool
from penstock_pooling._sessions.waiters import Loan

__all__ = [
    "ASYNC_POOLS",
    "POOLS",
    "AsyncConnection",
    "PsycopgPool",
    "lend",
    "lend_async",
    "pool_for",
    "settings_of_object",
]

INTERVAL = 0.1  # seconds between two looks at the time, while a session is cleaned
# What a connection can be told besides where to connect to: it is the object's, so it may differ among borrowers.
OBJECT_ARGUMENTS = ("autocommit", "prepare_threshold", "context", "row_factory", "cursor_factory")
CLEAN = b"DISCARD ALL"


class PsycopgPool(SessionPool):
    """Sessions of libpq for one set of arguments."""

    drivers_error = psycopg.OperationalError

    def _is_alive(self, session: Session) -> bool:
        return session.handle.status == pq.ConnStatus.OK and not has_news(session.handle.socket)

    def _descriptor(self, handle: Any) -> int:
        try:
            return int(handle.socket)
        except psycopg.Error as error:
            raise OSError from error

    def _close(self, handle: Any) -> None:
        handle.finish()

    def _is_closed(self, connection: Any) -> bool:
        return bool(connection.closed)


class _Shared:
    """What both kinds of connections have in common: a session on loan."""

    _loan: Loan | None = None
    _session: Session
    _lent_by: PsycopgPool
    pgconn: Any

    def __del__(self) -> None:
        loan, self._loan = self._loan, None
        try:
            super().__del__()  # type: ignore[misc]
        finally:
            if loan is not None and not sys.is_finalizing() and self._lent_by._pid == os.getpid():
                self._lent_by.end(self._session.handle)  # nothing could clean it here
                self._lent_by.give_back(loan)

    def _lend(self, pool: PsycopgPool, loan: Loan, session: Session) -> None:
        self._lent_by, self._session = pool, session
        loan.connection = weakref.ref(self)
        self._loan = loan

    def _note_lost(self) -> None:
        """Give the place back of a session that is lost: who sees that it is closed does not always close it."""
        if self._loan is not None and self.pgconn.status == pq.ConnStatus.BAD and self._lent_by._pid == os.getpid():
            loan, self._loan = self._loan, None
            self._lent_by.give_back(loan)

    def _take_back(self) -> tuple[Loan | None, Session | None]:
        """End the loan; return the session if it may be cleaned, and if so leave a closed connection."""
        loan, self._loan = self._loan, None
        if loan is None:
            return None, None
        if not self._may_be_cleaned():
            if self._lent_by._pid == os.getpid():
                self._lent_by.ending(self.pgconn)
            return loan, None
        self.pgconn = _closed_session()
        self._closed = True
        return loan, self._session

    def _may_be_cleaned(self) -> bool:
        this: Any = self
        pool = self._lent_by
        if pool._pid != os.getpid() or this.closed:
            return False
        if not pool.may_keep(self._session):
            return False
        if this.lock.locked() or this._num_transactions or not _is_quiet(this.pgconn):
            pool.discarded()
            return False
        return True


class Connection(_Shared, psycopg.Connection[Any]):  # type: ignore[misc] # both have a __del__
    """A connection whose `close()` gives its session back."""

    __module__ = "psycopg"

    def wait(self, *arguments: Any, **settings: Any) -> Any:
        """Do what the driver does, which comes here for all that it does with the server."""
        try:
            return super().wait(*arguments, **settings)
        except BaseException:
            self._note_lost()
            raise

    def __exit__(self, *error: Any) -> None:
        """End the transaction, and give the session back also if that fails, or the server has ended it."""
        try:
            super().__exit__(*error)
        finally:
            if self._loan is not None:
                self.close()

    def close(self) -> None:
        """Give the session back, as it was when it was opened."""
        loan, session = self._take_back()
        if session is None:
            try:
                super().close()
            finally:
                _end(self, loan, None)
            return
        kept = None
        try:
            if waiting.wait(_cleaned(session.handle), session.handle.socket, interval=INTERVAL):
                kept = session
        except (psycopg.Error, OSError):
            pass
        finally:
            _end(self, loan, session, kept)


class AsyncConnection(_Shared, psycopg.AsyncConnection[Any]):  # type: ignore[misc] # both have a __del__
    """A connection whose `close()` gives its session back."""

    __module__ = "psycopg"

    async def wait(self, *arguments: Any, **settings: Any) -> Any:
        """Do what the driver does, which comes here for all that it does with the server."""
        try:
            return await super().wait(*arguments, **settings)
        except BaseException:
            self._note_lost()
            raise

    async def __aexit__(self, *error: Any) -> None:
        """End the transaction, and give the session back also if that fails, or the server has ended it."""
        try:
            await super().__aexit__(*error)
        finally:
            if self._loan is not None:
                await self.close()

    async def close(self) -> None:
        """Give the session back, as it was when it was opened."""
        loan, session = self._take_back()
        if session is None:
            try:
                await super().close()
            finally:
                _end(self, loan, None)
            return
        kept = None
        try:
            if await waiting.wait_async(_cleaned(session.handle), session.handle.socket, interval=INTERVAL):
                kept = session
        except (psycopg.Error, OSError):
            pass
        finally:
            _end(self, loan, session, kept)


POOLS = Registry(PsycopgPool, "psycopg")
ASYNC_POOLS = Registry(PsycopgPool, "psycopg async", by_loop=True)


def pool_for(pools: Registry[PsycopgPool], conninfo: str, settings: Mapping[str, Any]) -> PsycopgPool | None:
    """Return the pool of a set of arguments; None if they cannot be told from others."""
    where = {key: value for key, value in settings.items() if key not in OBJECT_ARGUMENTS} | {"conninfo": conninfo}
    key = key_of(where)
    return None if key is None else pools.pool(key, lambda: _name_of(where))


def lend(pool: PsycopgPool, loan: Loan, conninfo: str, settings: Mapping[str, Any]) -> Connection | None:
    """Return a connection for somebody who has a place; None, and no place, if it would belong to another pool."""
    try:
        session = pool.lend()
        if session is not None:
            return _revived(Connection, pool, loan, session, settings)
        pool.wait_for_room()
        if not pool.may_open():
            pool.give_back(loan)
            return None
        return _opened(Connection.connect(conninfo, **settings), pool, loan)
    except BaseException:
        pool.give_back(loan)
        raise


async def lend_async(
    pool: PsycopgPool,
    loan: Loan,
    settings: Mapping[str, Any],
    connect: Callable[[], Coroutine[Any, Any, AsyncConnection]],
) -> AsyncConnection | None:
    """Return a connection for somebody who has a place; None, and no place, if it would belong to another pool."""
    try:
        session = pool.lend()
        if session is not None:
            return _revived(AsyncConnection, pool, loan, session, settings)
        await pool.wait_for_room_async()
        if not pool.may_open():
            pool.give_back(loan)
            return None
        opening = asyncio.ensure_future(connect())
    except BaseException:
        pool.give_back(loan)
        raise
    try:
        await asyncio.wait([opening])  # which goes on if this is cancelled
        return _opened(opening.result(), pool, loan)
    except BaseException:
        _give_up(opening, pool, loan)
        raise


def settings_of_object(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments that are not the session's."""
    return {key: arguments[key] for key in OBJECT_ARGUMENTS if key in arguments}


def _give_up(opening: asyncio.Future[AsyncConnection], pool: PsycopgPool, loan: Loan) -> None:
    """Give a place back when it is known what became of the session that was being opened.

    To the server, it may be one already: if nobody waits for it any more, it is kept for the next.
    """

    def end(opening: asyncio.Future[AsyncConnection]) -> None:
        session = None
        if not opening.cancelled() and opening.exception() is None:
            connection = opening.result()
            session = pool.opened(connection.pgconn)
            connection.pgconn = _closed_session()
        pool.give_back(loan, session)

    if opening.done():
        end(opening)
        return
    opening.add_done_callback(end)
    opening.get_loop().call_later(PATIENCE, opening.cancel)


C = TypeVar("C", Connection, AsyncConnection)


def _opened(connection: C, pool: PsycopgPool, loan: Loan) -> C:
    connection._lend(pool, loan, pool.opened(connection.pgconn))
    return connection


def _revived(kind: type[C], pool: PsycopgPool, loan: Loan, session: Session, settings: Mapping[str, Any]) -> C:
    """Return a new connection around a session, set up as `connect` of the driver does."""
    connection = kind(session.handle)
    connection._autocommit = bool(settings.get("autocommit", False))
    if settings.get("row_factory"):
        connection.row_factory = settings["row_factory"]
    if settings.get("cursor_factory"):
        connection.cursor_factory = settings["cursor_factory"]
    if settings.get("context"):
        connection._adapters = AdaptersMap(settings["context"].adapters)
    connection.prepare_threshold = settings.get("prepare_threshold", 5)
    connection._lend(pool, loan, session)
    return connection


def _name_of(arguments: Mapping[str, Any]) -> str:
    """Return what people know a pool by: where it connects to, without a secret."""
    told = {key: value for key, value in arguments.items() if key != "conninfo"}
    with contextlib.suppress(psycopg.Error):  # it is for the driver to say what is wrong with them
        told = conninfo_to_dict(arguments["conninfo"], **told)
    return server_of(told)


def _end(connection: _Shared, loan: Loan | None, session: Session | None, kept: Session | None = None) -> None:
    pool = getattr(connection, "_lent_by", None)
    if loan is None or pool is None:
        return
    if session is not None and kept is None:
        pool.discarded()
        pool.end(session.handle)
    pool.give_back(loan, kept)


def _is_quiet(pgconn: Any) -> bool:
    """Tell whether nothing runs in a session, so that it can be cleaned."""
    return (
        pgconn.transaction_status in (pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS, _INERROR)
        and pgconn.pipeline_status == pq.PipelineStatus.OFF
    )


_INERROR = pq.TransactionStatus.INERROR


def _cleaned(pgconn: Any) -> Generator[Any, Any, bool]:
    """Undo what was done in a session; tell whether that was possible within time."""
    pgconn.notice_handler = pgconn.notify_handler = None
    deadline = time.monotonic() + PATIENCE
    commands = [CLEAN] if pgconn.transaction_status == pq.TransactionStatus.IDLE else [b"ROLLBACK", CLEAN]
    for command in commands:
        pgconn.send_query(command)
        results = yield from _within(deadline, generators.execute(pgconn))
        if results is None or any(each.status != pq.ExecStatus.COMMAND_OK for each in results):
            return False
    return bool(pgconn.transaction_status == pq.TransactionStatus.IDLE)


def _within(deadline: float, steps: Any) -> Generator[Any, Any, Any]:
    """Go on with the steps of a generator of the driver until the deadline; return None if it comes first."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= deadline:
                return None
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


def _closed_session() -> Any:
    """Return a session of libpq that is closed, without having connected: there is nothing of that name."""
    pgconn = pq.PGconn.connect_start(b"penstock")
    pgconn.finish()
    return pgconn
