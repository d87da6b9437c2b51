"""What the codemod writes in the place of a call that opens something, and what is known of that library."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DropIn", "drop_in"]


@dataclass(frozen=True, slots=True)
class DropIn:
    """A call of the runtime that takes what the library's own takes.

    Attributes:
        callee: What is called: `penstock_pooling.psycopg.AsyncConnection.connect`.
        module: Its module, which is imported.
        asynchronous: Whether what it gives is awaited, and the connection is used by awaiting.
        closes_at_exit: Whether a `with` over the connection closes it.
        own_arguments: Arguments by which a program says itself what becomes of its connections.
    """

    callee: str
    module: str
    asynchronous: bool = False
    closes_at_exit: bool = False
    own_arguments: frozenset[str] = frozenset()


_ASYNCPG = DropIn(
    "penstock_pooling.connect",
    "penstock_pooling",
    asynchronous=True,
    own_arguments=frozenset({"connection_class", "loop"}),
)
_PSYCOPG = DropIn("penstock_pooling.psycopg.connect", "penstock_pooling.psycopg", closes_at_exit=True)
_PSYCOPG_ASYNC = DropIn(
    "penstock_pooling.psycopg.AsyncConnection.connect",
    "penstock_pooling.psycopg",
    asynchronous=True,
    closes_at_exit=True,
)
_PSYCOPG2 = DropIn(
    "penstock_pooling.psycopg2.connect",
    "penstock_pooling.psycopg2",
    own_arguments=frozenset({"connection_factory", "async", "async_", "replication"}),
)
_POOL_CLASSES = frozenset({"poolclass", "pool", "creator", "async_creator", "strategy", "module"})
_ENGINE = DropIn(
    "penstock_pooling.sqlalchemy.create_engine", "penstock_pooling.sqlalchemy", own_arguments=_POOL_CLASSES
)
_ASYNC_ENGINE = DropIn(
    "penstock_pooling.sqlalchemy.create_async_engine",
    "penstock_pooling.sqlalchemy",
    asynchronous=True,
    own_arguments=_POOL_CLASSES,
)
_DROP_INS = {
    "asyncpg.connect": _ASYNCPG,
    "asyncpg.connection.connect": _ASYNCPG,
    "psycopg.connect": _PSYCOPG,
    "psycopg.Connection.connect": _PSYCOPG,
    "psycopg.connection.Connection.connect": _PSYCOPG,
    "psycopg.AsyncConnection.connect": _PSYCOPG_ASYNC,
    "psycopg.connection_async.AsyncConnection.connect": _PSYCOPG_ASYNC,
    "psycopg2.connect": _PSYCOPG2,
    "sqlalchemy.create_engine": _ENGINE,
    "sqlalchemy.engine.create_engine": _ENGINE,
    "sqlalchemy.engine.create.create_engine": _ENGINE,
    "sqlmodel.create_engine": _ENGINE,
    "sqlalchemy.ext.asyncio.create_async_engine": _ASYNC_ENGINE,
    "sqlalchemy.ext.asyncio.engine.create_async_engine": _ASYNC_ENGINE,
}


def drop_in(name: str) -> DropIn | None:
    """Return what is called instead of something that opens a connection or an engine; None if there is nothing."""
    return _DROP_INS.get(name)
