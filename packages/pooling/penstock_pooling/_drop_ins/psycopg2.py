"""Connections of psycopg2 whose sessions are shared.

A psycopg2 connection is one with its session: an object of C that cannot be given another. So the object itself is lent
anew, but only when nobody else has it in hand any more: neither the connection, nor a cursor of it. Until then it is
closed to whoever still has it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import psycopg2
from psycopg2 import extensions

from penstock_pooling._drop_ins.registry import Registry, key_of, server_of
from penstock_pooling._pools.lines import has_news
from penstock_pooling._sessions.sessions import Session, SessionPool
from penstock_pooling._sessions.waiters import Loan

__all__ = ["POOLS", "lend", "pool_for"]

# What cannot be asked of a connection that is closed.
ASKED = (
    "__enter__",
    "__exit__",
    "cancel",
    "commit",
    "fileno",
    "get_backend_pid",
    "get_dsn_parameters",
    "get_native_connection",
    "get_parameter_status",
    "poll",
    "reset",
    "rollback",
    "set_client_encoding",
    "set_isolation_level",
    "set_session",
    "tpc_begin",
    "tpc_commit",
    "tpc_prepare",
    "tpc_recover",
    "tpc_rollback",
    "xid",
)
# What cannot be set on one.
SET = ("autocommit", "deferrable", "isolation_level", "readonly")
CLEANABLE = (
    extensions.TRANSACTION_STATUS_IDLE,
    extensions.TRANSACTION_STATUS_INTRANS,
    extensions.TRANSACTION_STATUS_INERROR,
)


class Psycopg2Pool(SessionPool):
    """Connections for one set of arguments."""

    def _is_alive(self, session: Session) -> bool:
        return not _Connection.closed.__get__(session.handle) and not has_news(_Connection.fileno(session.handle))

    def _is_shared(self, session: Session) -> bool:
        return sys.getrefcount(session.handle) > UNSHARED

    def _descriptor(self, handle: Any) -> int:
        try:
            return int(_Connection.fileno(handle))
        except psycopg2.Error as error:
            raise OSError from error

    def _close(self, handle: Any) -> None:
        with contextlib.suppress(psycopg2.Error):
            _Connection.close(handle)

    def _is_closed(self, connection: Any) -> bool:
        return bool(connection.closed)


_nobodys = Session(object(), 0.0, 0)
UNSHARED = sys.getrefcount(_nobodys.handle)  # what a handle counts that nothing but its session refers to
POOLS = Registry(Psycopg2Pool, "psycopg2")
_Connection: Any = extensions.connection


class Connection(_Connection):  # type: ignore[misc]
    """A connection whose `close()` gives its session back."""

    _loan: Loan | None = None
    _given_back = False
    _lent_by: Psycopg2Pool
    _session: Session
    _cursors: weakref.WeakSet[Any]
    _has_large_object = False
    autocommit: bool
    deferrable: bool | None
    isolation_level: int | None
    readonly: bool | None

    def __del__(self) -> None:
        loan, self._loan = self._loan, None
        if loan is not None and not sys.is_finalizing() and self._lent_by._pid == os.getpid():
            self._lent_by.ending(self)  # with its object
            self._lent_by.give_back(loan)

    def __repr__(self) -> str:
        told: str = super().__repr__()
        return told.replace("closed: 0>", "closed: 1>") if self._given_back else told

    @property
    def closed(self) -> int:
        """0 if it is open, 1 if it is closed, 2 if something went wrong."""
        closed: int = 1 if self._given_back else super().closed
        if closed:
            self._note_lost()
        return closed

    def cursor(self, *arguments: Any, **settings: Any) -> Any:
        """Return a new cursor, as that of the driver."""
        self._refuse_closed()
        cursor = super().cursor(*arguments, **settings)
        if self._loan is not None:
            self._cursors.add(cursor)
        return cursor

    def lobject(self, *arguments: Any, **settings: Any) -> Any:
        """Return a large object, as that of the driver."""
        self._refuse_closed()
        self._has_large_object = True
        return super().lobject(*arguments, **settings)

    def get_transaction_status(self) -> int:
        """Return the status of the transaction, as that of the driver."""
        if self._given_back:
            return extensions.TRANSACTION_STATUS_UNKNOWN  # type: ignore[no-any-return]
        return super().get_transaction_status()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Give the session back, as it was when it was opened."""
        if self._given_back:
            return
        loan, self._loan = self._loan, None
        if loan is None:
            super().close()
            return
        kept = None
        try:
            if self._may_be_cleaned() and self._clean():
                kept, self._session.handle = self._session, self
        except psycopg2.Error:
            self._lent_by.discarded()
        finally:
            if kept is None:
                self._lent_by.ending(self)
                super().close()
            self._given_back = kept is not None
            self._lent_by.give_back(loan, kept)

    def lend(self, pool: Psycopg2Pool, loan: Loan, session: Session) -> None:
        """Take note of who has it now."""
        self.__dict__.clear()
        self._lent_by, self._session, self._cursors = pool, session, weakref.WeakSet()
        session.handle = None  # or it would keep itself alive
        loan.connection = weakref.ref(self)
        self._loan = loan

    def _note_lost(self) -> None:
        """Give the place back of a session that is lost: who sees that it is closed does not always close it."""
        if self._loan is not None and self._lent_by._pid == os.getpid():
            loan, self._loan = self._loan, None
            self._lent_by.give_back(loan)

    def _refuse_closed(self) -> None:
        if self._given_back:
            raise psycopg2.InterfaceError("connection already closed")

    def _may_be_cleaned(self) -> bool:
        pool = self._lent_by
        if pool._pid != os.getpid() or super().closed or not pool.may_keep(self._session):
            return False
        open_ones = [cursor for cursor in self._cursors if not cursor.closed]
        if (
            self.get_transaction_status() not in CLEANABLE
            or self.status == extensions.STATUS_PREPARED
            or self._has_large_object
            or any(cursor.name is not None for cursor in open_ones)
        ):
            pool.discarded()
            return False
        for cursor in open_ones:
            cursor.close()
        return True

    def _clean(self) -> bool:
        """Undo what was done in the session, and to the object."""
        self.rollback()
        if not self.autocommit:
            self.isolation_level = self.readonly = self.deferrable = None
        self.autocommit = True
        with extensions.cursor(self) as cursor:
            if self.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:  # of a BEGIN in autocommit
                cursor.execute("ROLLBACK")
            cursor.execute("DISCARD ALL")
            if not (self.get_parameter_status("DateStyle") or "ISO").startswith("ISO"):
                cursor.execute("SET DATESTYLE TO 'ISO'")  # as the driver does when it connects
        self.autocommit = False
        self.isolation_level = self.readonly = self.deferrable = None
        if self.encoding != self._session.initial:
            self.set_client_encoding(self._session.initial)
        self.cursor_factory = None
        for told in (self.notices, self.notifies, self.string_types, self.binary_types):
            told.clear()
        return True


def _asked(name: str) -> Callable[..., Any]:
    original = getattr(_Connection, name)

    def ask(self: Connection, *arguments: Any, **settings: Any) -> Any:
        self._refuse_closed()
        return original(self, *arguments, **settings)

    ask.__name__, ask.__doc__ = name, original.__doc__
    return ask


def _set(name: str) -> property:
    original = getattr(_Connection, name)

    def assign(self: Connection, value: Any) -> None:
        self._refuse_closed()
        original.__set__(self, value)

    return property(original.__get__, assign, doc=original.__doc__)


for _name in ASKED:
    setattr(Connection, _name, _asked(_name))
for _name in SET:
    setattr(Connection, _name, _set(_name))


def pool_for(dsn: Any, settings: Mapping[str, Any]) -> Psycopg2Pool | None:
    """Return the pool of a set of arguments; None if they cannot be told from others."""
    where = dict(settings) | {"dsn": dsn}
    key = key_of(where)
    return None if key is None else POOLS.pool(key, lambda: _name_of(dsn, settings))


def lend(
    pool: Psycopg2Pool, loan: Loan, dsn: Any, cursor_factory: Any, settings: Mapping[str, Any]
) -> Connection | None:
    """Return a connection for somebody who has a place; None, and no place, if it would belong to another pool."""
    try:
        session = pool.lend()
        if session is None:
            pool.wait_for_room()
            if not pool.may_open():
                pool.give_back(loan)
                return None
            connection = psycopg2.connect(dsn, connection_factory=Connection, **settings)
            session = pool.opened(None)
            session.initial = connection.encoding
        else:
            connection = session.handle
        connection.lend(pool, loan, session)
    except BaseException:
        pool.give_back(loan)
        raise
    if cursor_factory is not None:
        connection.cursor_factory = cursor_factory
    return connection  # type: ignore[no-any-return]


def _name_of(dsn: Any, settings: Mapping[str, Any]) -> str:
    told = dict(settings)
    with contextlib.suppress(psycopg2.Error, TypeError):  # it is for the driver to say what is wrong with them
        told = extensions.parse_dsn(extensions.make_dsn(dsn, **settings))
    return server_of(told)
