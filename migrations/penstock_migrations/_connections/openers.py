"""The calls that open a connection, an engine or a client of a database, by the names that libraries give them."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import Reaching
from penstock_migrations._code.vocabulary import vocabulary

__all__ = ["Kind", "Opener", "is_file_engine", "openers", "text_of"]


class Kind(enum.Enum):
    """What is opened."""

    CONNECTION = "connection"
    ENGINE = "engine"
    CLIENT = "client"
    FILE = "file"


@dataclass(frozen=True, slots=True, eq=False)
class Opener:
    """A call that opens something, and its name as it is imported: `psycopg2.connect`."""

    call: ast.Call
    kind: Kind
    name: str


_DRIVERS = (
    "MySQLdb aiomysql aioodbc aiopg asyncmy asyncpg cx_Oracle mysql.connector mysql.connector.aio oracledb pg8000"
    " pg8000.dbapi psycopg psycopg2 pymssql pymysql pyodbc redshift_connector snowflake.connector databricks.sql"
    " trino.dbapi vertica_python hdbcli.dbapi ibm_db ibm_db_dbi teradatasql"
)
_CONNECTIONS = frozenset(
    {f"{driver}.connect" for driver in _DRIVERS.split()}
    | {
        f"psycopg.{module}{name}.connect"
        for module in ("", "connection.")
        for name in ("Connection", "AsyncConnection")
    }
    | {"psycopg.connection_async.AsyncConnection.connect", "oracledb.connect_async", "pymysql.connections.Connection"}
    | {"pymysql.Connection", "pg8000.native.Connection", "asyncpg.connection.connect", "pyodbc.Connection"}
    | {"mysql.connector.connection.MySQLConnection", "mysql.connector.MySQLConnection"}
)
_ENGINES = vocabulary(
    "sqlalchemy.create_engine sqlalchemy.engine.create_engine sqlalchemy.engine_from_config sqlmodel.create_engine"
    " sqlalchemy.engine.create.create_engine sqlalchemy.engine.engine_from_config"
    " sqlalchemy.ext.asyncio.create_async_engine sqlalchemy.ext.asyncio.engine.create_async_engine"
    " sqlalchemy.ext.asyncio.async_engine_from_config sqlmodel.ext.asyncio.create_async_engine"
)
_FILES = vocabulary(
    "sqlite3.connect sqlite3.dbapi2.connect sqlite3.Connection aiosqlite.connect duckdb.connect apsw.Connection"
    " pysqlite3.connect sqlcipher3.connect libsql_experimental.connect"
)
_REDIS = tuple(
    f"{module}.{name}"
    for module in ("redis", "redis.client", "redis.cluster", "redis.asyncio", "redis.asyncio.client", "aioredis")
    for name in ("Redis", "StrictRedis", "RedisCluster")
)
_CLIENTS = frozenset(
    {*_REDIS, *(f"{name}.from_url" for name in _REDIS)}
    | {f"{module}.from_url" for module in ("redis", "redis.asyncio", "redis.asyncio.utils", "redis.utils", "aioredis")}
    | {"redis.asyncio.cluster.RedisCluster", "redis.asyncio.cluster.RedisCluster.from_url", "valkey.Valkey"}
    | {"valkey.from_url", "valkey.asyncio.Valkey", "valkey.asyncio.from_url", "valkey.Valkey.from_url"}
    | {"pymongo.MongoClient", "pymongo.AsyncMongoClient", "pymongo.mongo_client.MongoClient"}
    | {"pymongo.asynchronous.mongo_client.AsyncMongoClient", "motor.motor_asyncio.AsyncIOMotorClient"}
    | {"motor.MotorClient", "motor.motor_tornado.MotorClient", "cassandra.cluster.Cluster"}
    | {"neo4j.GraphDatabase.driver", "neo4j.AsyncGraphDatabase.driver"}
)
_KINDS = {
    **dict.fromkeys(_CONNECTIONS, Kind.CONNECTION),
    **dict.fromkeys(_ENGINES, Kind.ENGINE),
    **dict.fromkeys(_CLIENTS, Kind.CLIENT),
    **dict.fromkeys(_FILES, Kind.FILE),
}
_LAST_WORDS = tuple(sorted({name.rpartition(".")[2] for name in _KINDS}))
_SHARED_POOL = ("connection_pool", "pool")


def openers(names: Reaching) -> Iterator[Opener]:
    """Yield the calls of a module that open something of their own, in the order of the text."""
    module = names.module
    aliases = [name for name, target in module.imports.items() if target in _KINDS]
    for call in module.calls_of(*_LAST_WORDS, *aliases):
        name = _name(names, call.func)
        kind = _KINDS.get(name)
        if kind is not None and not _is_borrowed(call) and not _is_in_memory(names, call):
            yield Opener(call, kind, name)


def text_of(module: Module, node: ast.expr | None) -> str:
    """Return what a text, a formatted text or a name of one starts with; empty where it cannot be told."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]):
            return text
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod()):
            return text_of(module, left)
        case ast.Name(id=name):
            _, found = module.bindings(name, node)
            value = found[0].value if len(found) == 1 and found[0].kind == "value" else None
            return "" if value is None or isinstance(value, ast.Name) else text_of(module, value)
        case ast.Call(args=[inner, *_]):
            return text_of(module, inner)
        case _:
            return ""


def _name(names: Reaching, func: ast.expr) -> str:
    """Return the imported name of what is called, also through an attribute that holds it: `self._driver.connect`."""
    if (found := names.module.qualified(func)) is not None:
        return found
    match func:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self")) as holder, attr=attribute):
            held = [names.module.qualified(value) for value in names.values(holder)]
            return next((f"{name}.{attribute}" for name in held if name), "")
        case ast.Attribute(value=ast.Name(id="self")):
            return next((name for value in names.values(func) if (name := names.module.qualified(value))), "")
        case _:
            return ""


def _is_borrowed(call: ast.Call) -> bool:
    """Say whether the connections come from a pool that is handed over."""
    return any(
        keyword.arg in _SHARED_POOL and not isinstance(keyword.value, ast.Constant | ast.Call)
        for keyword in call.keywords
    )


def _is_in_memory(names: Reaching, call: ast.Call) -> bool:
    """Say whether a database of SQLite or DuckDB lives in memory: each connection is a database of its own."""
    text = text_of(names.module, _address(call))
    return ":memory:" in text or "mode=memory" in text or text in ("sqlite://", "sqlite+aiosqlite://")


def is_file_engine(module: Module, opener: Opener) -> bool:
    """Say whether an engine is one of SQLite or DuckDB, where opening a file is all that connecting costs."""
    return text_of(module, _address(opener.call)).startswith(("sqlite", "duckdb"))


def _address(call: ast.Call) -> ast.expr | None:
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return call.args[0] if call.args else named.get("url") or named.get("database")
