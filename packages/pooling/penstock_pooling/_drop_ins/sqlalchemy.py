"""Engines of SQLAlchemy that many operations share, and the pool of their connections."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from penstock_limits import Mode
from penstock_limits.introspection import call_site
from sqlalchemy import event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.pool import Pool
from sqlalchemy.util import await_only

from penstock_pooling._drop_ins.registry import Registry, key_of
from penstock_pooling._pools.callers import LIBRARIES
from penstock_pooling._pools.lines import has_news
from penstock_pooling._sessions.sessions import PATIENCE, Session, SessionPool
from penstock_pooling._sessions.waiters import Loan

__all__ = ["ASYNC_ENGINES", "ENGINES", "AsyncSharedPool", "SharedPool", "observed", "pool_for", "shared"]

# By these a program says itself what its connections are, or what is theirs when they are opened.
OWN = ("async_creator", "client_encoding", "creator", "module", "pool", "poolclass", "strategy")
# What these say of one engine for each operation does not hold for one that all share.
SIZES = ("max_overflow", "pool_size", "pool_timeout", "pool_use_lifo")
# `DISCARD ALL`, but for prepared statements, of which the drivers keep account.
FRESH = (
    "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET SESSION AUTHORIZATION; RESET ALL; "
    "DISCARD TEMP; DISCARD SEQUENCES"
)


class EnginePool(SessionPool):
    """The connections of an engine, and the engine.

    Attributes:
        engine: What is given to whoever asks; None until there is one.
    """

    drivers_error = exc.TimeoutError

    def __init__(self, name: str) -> None:
        self._home = asyncio._get_running_loop()
        super().__init__(name)
        self.engine: Any = None

    def _begin(self) -> None:
        super()._begin()
        self.making = threading.Lock()

    def forked(self) -> None:
        """Leave the event loop to the parent, too."""
        self._home = None
        super().forked()

    def _is_alive(self, session: Session) -> bool:
        connection = session.handle.driver_connection
        closed = getattr(connection, "closed", None)
        if closed is None:
            closed = connection.is_closed() if hasattr(connection, "is_closed") else False
        if closed:
            return False
        try:
            return not has_news(self._descriptor(session.handle))
        except OSError:
            return True  # it has no line that could be looked at

    def _descriptor(self, handle: Any) -> int:
        try:
            connection = handle.driver_connection
            if hasattr(connection, "fileno"):
                return int(connection.fileno())
            return int(connection._transport.get_extra_info("socket").fileno())  # asyncpg
        except Exception as error:  # each driver has its own; some have no such thing
            raise OSError from error

    def _close(self, handle: Any) -> None:
        if handle.dbapi_connection is None:
            return
        with contextlib.suppress(Exception):  # it is on its way out, and its event loop may be gone
            if not self.engine.dialect.is_async:
                handle.close()
            elif hasattr(handle.driver_connection, "pgconn"):
                handle.driver_connection.pgconn.finish()
            else:
                self.engine.dialect.do_terminate(handle.dbapi_connection)

    def end_idle(self) -> None:
        """Close the connections that nobody has; where they are awaited, in their event loop."""
        if self._home is None or self._home is asyncio._get_running_loop():
            super().end_idle()
            return
        try:
            self._home.call_soon_threadsafe(super().end_idle)
        except RuntimeError:  # it is closed
            super().end_idle()

    def _is_closed(self, connection: Any) -> bool:
        return connection.dbapi_connection is None


class SharedPool(Pool):
    """The pool of an engine that stays when the engine is disposed of."""

    _is_asyncio: Any = False
    sessions: EnginePool

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.out: dict[Any, tuple[Loan, Session]] = {}

    def status(self) -> str:
        """Return what people want to know of it."""
        return repr(self.sessions)

    def dispose(self) -> None:
        """Nothing: others use it."""

    def recreate(self) -> SharedPool:
        """Return this one: others use it."""
        return self

    def _do_get(self) -> Any:
        loan = self._place() if self.sessions.mode is Mode.ENFORCE else None
        if loan is None:
            return self._create_connection()
        try:
            session = self.sessions.lend()
            if session is None:
                self._wait_for_room()
                session = self.sessions.opened(self._create_connection())
        except BaseException:
            self.sessions.give_back(loan)
            raise
        record = session.handle
        loan.connection = lambda: record.fairy_ref and record.fairy_ref()
        self.out[record] = loan, session
        return record

    def _do_return_conn(self, record: Any) -> None:
        loan, session = self.out.pop(record, (None, None))
        if loan is None or session is None:
            record.close()
            return
        kept = None
        try:
            if record.dbapi_connection is not None and self.sessions.may_keep(session):
                kept = session if self._clean(record.dbapi_connection) else None
        finally:
            if kept is None:
                self._discard(record)
            self.sessions.give_back(loan, kept)

    def _discard(self, record: Any) -> None:
        if record.dbapi_connection is not None:
            self.sessions.discarded()
            self.sessions.ending(record)
            with contextlib.suppress(Exception):  # it is on its way out
                record.close()

    def _clean(self, connection: Any) -> bool:
        """Undo what was done in a session; tell whether that was possible."""
        dialect: Any = self._dialect
        clean = _CLEAN.get(dialect.driver) if dialect.name == "postgresql" else None
        if clean is None:
            return False
        try:
            dialect.do_rollback(connection)
            clean(connection)
        except Exception:  # noqa: BLE001 - whatever it is, the connection is closed
            return False
        return True

    def _place(self) -> Loan | None:
        return self.sessions.borrow(call_site(*LIBRARIES))

    def _wait_for_room(self) -> None:
        self.sessions.wait_for_room()


class AsyncSharedPool(SharedPool):
    """The same for an engine whose connections are awaited."""

    _is_asyncio = True

    def _place(self) -> Loan | None:
        return await_only(self.sessions.borrow_async(call_site(*LIBRARIES)))

    def _wait_for_room(self) -> None:
        await_only(self.sessions.wait_for_room_async())


def _clean_psycopg(connection: Any) -> None:
    _run_outside_of_transactions(connection, FRESH)


def _clean_psycopg2(connection: Any) -> None:
    _run_outside_of_transactions(connection, "DISCARD ALL")
    if not (connection.get_parameter_status("DateStyle") or "ISO").startswith("ISO"):
        _run_outside_of_transactions(connection, "SET DATESTYLE TO 'ISO'")  # as the driver does when it connects


def _run_outside_of_transactions(connection: Any, statement: str) -> None:
    autocommit = connection.autocommit
    connection.autocommit = True
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
    connection.autocommit = autocommit


def _clean_asyncpg(connection: Any) -> None:
    async def clean(driver: Any) -> None:
        await driver.reset(timeout=PATIENCE)
        await driver.execute("RESET SESSION AUTHORIZATION; DISCARD TEMP; DISCARD SEQUENCES", timeout=PATIENCE)

    connection.run_async(clean)


_CLEAN: Mapping[str, Callable[[Any], None]] = {
    "asyncpg": _clean_asyncpg,
    "psycopg": _clean_psycopg,
    "psycopg_async": _clean_psycopg,
    "psycopg2": _clean_psycopg2,
}


ENGINES = Registry(EnginePool, "sqlalchemy")
ASYNC_ENGINES = Registry(EnginePool, "sqlalchemy async", by_loop=True)
atexit.register(ENGINES.close)  # or the drivers would complain of what is open at the end of the program


def pool_for(engines: Registry[EnginePool], url: Any, settings: Mapping[str, Any]) -> EnginePool | None:
    """Return the pool of a set of arguments; None if they cannot be told from others, or say what it should be."""
    if any(settings.get(key) is not None for key in OWN):
        return None
    key = key_of(dict(settings) | {"url": url})
    if key is None:
        return None
    told = make_url(url)
    if told.get_backend_name() == "sqlite":  # where opening a file is all that connecting costs
        return None
    port = f":{told.port}" if told.port else ""
    return engines.pool(key, lambda: f"{told.host or 'localhost'}{port}/{told.database or ''}")


def shared(pool: EnginePool, make: Callable[..., Any], poolclass: type[SharedPool], url: Any, settings: Any) -> Any:
    """Return the engine of a pool, made if there is none."""
    if pool.engine is None:
        with pool.making:
            if pool.engine is None:
                told = {key: value for key, value in settings.items() if key not in SIZES}
                engine = make(url, poolclass=poolclass, **told)
                getattr(engine, "sync_engine", engine).pool.sessions = pool
                pool.engine = engine
    return pool.engine


def observed(pool: EnginePool, engine: Any) -> Any:
    """Return an engine whose connections are counted."""
    event.listen(getattr(engine, "sync_engine", engine), "checkout", lambda _, __, fairy: pool.watched(fairy))
    return engine
