"""Finds operations that each open a connection to a database server of their own.

## What it does

Looks at `connect` of the drivers (asyncpg, psycopg, psycopg2, pymysql, aiomysql, pyodbc, mysql.connector, oracledb,
snowflake.connector and others) and follows the connection through its function, and through the helpers of the module
that return or yield it.

It leaves alone what is kept: on the object, in a global or a cache, by a decorator that caches, by a closure, by a
pool; what runs once (set-up, `main`, commands, migrations, tests); what is for the schema, for LISTEN or for a loop
without end; and what a caller may hand over instead. A helper that returns a connection is judged by its callers in the
module, and reported once, at the helper; where only other audited modules call it, the message names their functions.

## Why is this bad

Each call pays for a TCP handshake, often TLS, authentication and a new process or thread of the server: milliseconds
around a query of microseconds. Nothing bounds the number: a burst of operations is a burst of connections, PostgreSQL
answers "too many clients already", and everything else that uses the database fails with it.

## Example

```python
async def load_user(user_id):
    connection = await asyncpg.connect(DSN)
    try:
        return await connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
    finally:
        await connection.close()
```

## Use instead

```python
async def load_user(user_id):
    connection = await penstock_pooling.connect(DSN)
    try:
        return await connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
    finally:
        await connection.close()
```

`penstock_pooling.connect` takes what `asyncpg.connect` takes, and gives a connection of a pool that all calls with the
same arguments share; `close()` gives it back. With the mode of `pooled-database` off, it is `asyncpg.connect`. There is
the same for psycopg (`penstock_pooling.psycopg.connect` and `.AsyncConnection.connect`) and for psycopg2. A program
that is written anew takes its connections from a pool by name. Other drivers have pools of their own:
`aiomysql.create_pool`, `oracledb.create_pool`; an SQLAlchemy engine is one for the rest.

## Fix safety

Only what is called is replaced, in a helper too, which keeps its name. That is safe where the connection is closed on
every way out of its function, or of all its callers: in a `finally`, by `with closing(...)`, by the `with` of psycopg,
by an exit stack, before each early return; where the arguments are the same each time; where every statement that runs
on it can be read, and leaves nothing in the session; and where, while it is held, nothing is called but the connection,
its cursors and what plainly only computes: built-in functions, methods of text and rows, `json`, logging, records and
functions of the same module that do no more. Who holds a place of a pool and waits for anything else may wait for those
who wait for the place.

It is left to review where an exception would leave it open until it is collected, where the caller says where to
connect to, where an argument or a statement is made elsewhere, where types are registered, settings of the driver
changed, temporary tables made, procedures run or the schema changed, and where the module drops databases. So it is
where the connection or a cursor is handed to code that is not seen, or outlives the block; where files that are not
among the paths, too, use the helper; where an operation opens another one meanwhile, waits for something else (a model,
a lock, a queue, a thread), calls what is not seen, even with rows only, or loops over what may not end; where its
callers run; and where each call has an event loop of its own, in whatever file of the project that is made.

It is never done where nothing closes it (`with` of psycopg2 ends a transaction, and the connection stays open), where
it is kept or cannot be followed; for LISTEN, replication, advisory locks of the session, SET, CREATE DATABASE and other
set-up of the server, VACUUM and other long maintenance, probes, loops without end; where an argument cannot be hashed,
is made anew each time, such as an SSL context, or says itself what connections are made of (`connection_class`); where
a coroutine holds a blocking connection while it awaits; in tests, whose databases come and go; and for drivers without
a drop-in.

Probes (`test_connection`) and helpers whose callers are in other modules and whose names promise no connection for each
call are advice.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._connections.callers import asked_of, name_callers
from penstock_migrations._connections.fixes import Fixes
from penstock_migrations._connections.messages import describe
from penstock_migrations._connections.openers import Kind
from penstock_migrations._connections.openings import Openings
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_REMEDY = "take it from a pool that the program makes once"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls that open a new connection for each operation."""
    for opening in module.analysis(Openings).found:
        if opening.opener.kind is Kind.CONNECTION:
            decision = module.analysis(Fixes).of(opening)
            yield Defect(
                node=opening.opener.call,
                severity=Severity.LOW if opening.advice else Severity.HIGH,
                message=f"{describe(opening, 'a new connection')}; {_REMEDY}",
                fix=decision.fix,
                fix_reason=decision.reason,
                rewrites=decision.rewrites,
                callees=asked_of(module, opening, decision),
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN201",
    triggers=(
        b"psycopg",
        b"asyncpg",
        b"mysql",
        b"MySQLdb",
        b"odbc",
        b"oracledb",
        b"cx_Oracle",
        b"snowflake",
        b"aiopg",
        b"asyncmy",
        b"pg8000",
        b"pymssql",
        b"redshift_connector",
        b"databricks",
        b"trino",
        b"vertica",
        b"hdbcli",
        b"ibm_db",
        b"teradatasql",
    ),
    detect=detect,
    settle=name_callers,
    bad=(
        Example(
            "a connection for each query",
            """
import asyncpg

async def load_user(user_id):
    connection = await asyncpg.connect("postgresql://db/users")
    try:
        return await connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
    finally:
        await connection.close()
""",
            """
import asyncpg
import penstock_pooling

async def load_user(user_id):
    connection = await penstock_pooling.connect("postgresql://db/users")
    try:
        return await connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
    finally:
        await connection.close()
""",
        ),
        Example(
            "a helper that callers use for each query",
            """
from psycopg import connect

class Store:
    def _open(self):
        return connect(self.dsn)

    def load(self, key):
        with self._open() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT value FROM items WHERE key = %s", (key,))
            return cursor.fetchone()

    def remove(self, key):
        with self._open() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM items WHERE key = %s", (key,))
""",
            """
import penstock_pooling.psycopg
from psycopg import connect

class Store:
    def _open(self):
        return penstock_pooling.psycopg.connect(self.dsn)

    def load(self, key):
        with self._open() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT value FROM items WHERE key = %s", (key,))
            return cursor.fetchone()

    def remove(self, key):
        with self._open() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM items WHERE key = %s", (key,))
""",
        ),
        Example(
            "an asynchronous connection of psycopg",
            """
import psycopg

async def count():
    async with await psycopg.AsyncConnection.connect("dbname=items") as connection:
        cursor = await connection.execute("SELECT count(*) FROM items")
        return await cursor.fetchone()
""",
            """
import penstock_pooling.psycopg
import psycopg

async def count():
    async with await penstock_pooling.psycopg.AsyncConnection.connect("dbname=items") as connection:
        cursor = await connection.execute("SELECT count(*) FROM items")
        return await cursor.fetchone()
""",
        ),
        Example(
            "a connection of psycopg2 that is closed at the end of a block",
            """
from contextlib import closing

import psycopg2

def names():
    with closing(psycopg2.connect("dbname=items")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM items")
        return [name for (name,) in cursor]
""",
            """
from contextlib import closing

import penstock_pooling.psycopg2
import psycopg2

def names():
    with closing(penstock_pooling.psycopg2.connect("dbname=items")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM items")
        return [name for (name,) in cursor]
""",
        ),
        Example(
            "a connection that a failure leaves open",
            """
import asyncpg

async def count_users():
    connection = await asyncpg.connect("postgresql://db/users")
    count = await connection.fetchval("SELECT count(*) FROM users")
    await connection.close()
    return count
""",
        ),
        Example(
            "a connection that nothing closes: `with` of psycopg2 ends its transaction only",
            """
import psycopg2

def load(key):
    with psycopg2.connect("dbname=items") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT value FROM items WHERE key = %s", (key,))
        return cursor.fetchone()
""",
        ),
        Example(
            "a context manager that opens and closes",
            """
from contextlib import contextmanager

import pymysql

@contextmanager
def get_connection():
    connection = pymysql.connect(host="db")
    try:
        yield connection
    finally:
        connection.close()
""",
        ),
    ),
    good=(
        Example(
            "a pool, made once",
            """
import asyncpg

class Store:
    async def start(self):
        self.pool = await asyncpg.create_pool(self.dsn)

    async def load(self, key):
        return await self.pool.fetchrow("SELECT value FROM items WHERE key = $1", key)
""",
        ),
        Example(
            "a connection that the object keeps",
            """
import oracledb

class Store:
    def __init__(self, connection=None):
        self.connection = connection or oracledb.connect()
""",
        ),
        Example(
            "a script that runs once",
            """
import psycopg

def copy(target):
    with psycopg.connect("dbname=old") as connection:
        target.write(connection.execute("SELECT * FROM items").fetchall())

if __name__ == "__main__":
    copy(open("items.txt", "w"))
""",
        ),
        Example(
            "a connection that listens",
            """
import asyncpg

async def watch(handle):
    connection = await asyncpg.connect("postgresql://db/events")
    await connection.add_listener("events", handle)
""",
        ),
        Example(
            "a database that is created",
            """
import psycopg2

def recreate(name):
    connection = psycopg2.connect("dbname=postgres")
    connection.autocommit = True
    connection.cursor().execute("CREATE DATABASE items")
    connection.close()
""",
        ),
    ),
)
