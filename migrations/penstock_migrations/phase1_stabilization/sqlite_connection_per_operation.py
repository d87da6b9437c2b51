"""Finds operations that each open a connection to a database in a file, as of SQLite.

## What it does

Looks at `connect` of sqlite3, aiosqlite, duckdb and their like, and follows the connection through its function, and
through the helpers of the module that return or yield it. All its findings are advice, of low severity.

It leaves alone what is kept: on the object, in a global or a cache, by a decorator that caches, by a closure, by a
pool; what runs once (set-up, `main`, commands, migrations, tests); what is for the schema, for LISTEN or for a loop
without end; and what a caller may hand over instead. A helper that returns a connection is judged by its callers in the
module, and reported once, at the helper. So is a database in memory.

## Why is this bad

To open a file is cheap beside a server's handshake, but not free: each connection reads the schema, starts with an
empty page cache and an empty statement cache, and the settings (`journal_mode`, `busy_timeout`) are to be made anew.
Connections that write side by side meet in "database is locked".

## Example

```python
def load(path, key):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM items WHERE key = ?", (key,)).fetchone()
```

## Use instead

```python
class Store:
    def __init__(self, path):
        self.connection = sqlite3.connect(path, check_same_thread=False)

    def load(self, key):
        return self.connection.execute("SELECT value FROM items WHERE key = ?", (key,)).fetchone()
```

Keep one connection for each object or thread, or one that writes and a few that read, and close them at the end.

## Fix safety

Nothing is rewritten: a connection of sqlite3 belongs to its thread unless told otherwise, and what is kept has to be
closed by somebody. Where an operation is rare, a connection of its own is fine.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._connections.callers import asked_of, name_callers
from penstock_migrations._connections.messages import describe
from penstock_migrations._connections.openers import Kind
from penstock_migrations._connections.openings import Openings
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_REASON = "a kept connection belongs to one thread, and somebody has to close it"
_REMEDY = "keep one connection for each object or thread"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls that open the database file for each operation."""
    for opening in module.analysis(Openings).found:
        if opening.opener.kind is Kind.FILE:
            yield Defect(
                node=opening.opener.call,
                severity=Severity.LOW,
                message=f"{describe(opening, 'the database file')}; {_REMEDY}",
                fix_reason=_REASON,
                callees=asked_of(module, opening),
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN204",
    triggers=(
        b"sqlite",
        b"duckdb",
        b"apsw",
        b"sqlcipher",
        b"libsql",
    ),
    detect=detect,
    settle=name_callers,
    bad=(
        Example(
            "a connection for each query",
            """
import sqlite3
from contextlib import closing

def load(path, key):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute("SELECT value FROM items WHERE key = ?", (key,)).fetchone()
""",
        ),
        Example(
            "a connection for each write, asynchronous",
            """
import aiosqlite

class Store:
    async def save(self, item):
        async with aiosqlite.connect(self.path) as connection:
            await connection.execute("INSERT INTO items VALUES (?)", (item,))
            await connection.commit()
""",
        ),
    ),
    good=(
        Example(
            "a connection that the object keeps",
            """
import sqlite3

class Store:
    def __init__(self, path):
        self.connection = self._open(path)

    def _open(self, path):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def load(self, key):
        return self.connection.execute("SELECT value FROM items WHERE key = ?", (key,)).fetchone()
""",
        ),
        Example(
            "a schema that is created",
            """
import sqlite3

def prepare(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS items (value TEXT)")
""",
        ),
        Example(
            "a database in memory",
            """
import sqlite3

def evaluate(expression):
    return sqlite3.connect(":memory:").execute(f"SELECT {expression}").fetchone()
""",
        ),
    ),
)
