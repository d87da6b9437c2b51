"""Finds operations that each make an SQLAlchemy engine of their own.

## What it does

Looks at `create_engine` and `create_async_engine` of SQLAlchemy and SQLModel, and follows the engine, and the sessions
made of it, through its function, and through the helpers of the module that return or yield it.

It leaves alone what is kept: on the object, in a global or a cache, by a decorator that caches, by a closure, by a
pool; what runs once (set-up, `main`, commands, migrations, tests); what is for the schema, for LISTEN or for a loop
without end; and what a caller may hand over instead. A helper that returns an engine is judged by its callers in the
module, and reported once, at the helper.

## Why is this bad

An engine is a pool of connections. One for each operation pools nothing: each call connects anew, compiles each
statement anew, and an engine that nobody disposes of keeps its connections open until it is collected. `pool_size`
limits each of them, and nothing limits their number.

## Example

```python
def count_rows(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM items"))
```

## Use instead

```python
def count_rows(url):
    engine = penstock_pooling.sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM items"))
```

`penstock_pooling.sqlalchemy.create_engine` and `create_async_engine` take what SQLAlchemy's take, and give one engine
for each set of arguments, in each process and, where it is asynchronous, each event loop; `dispose()` gives it back.
With the mode of `pooled-database` off, they are SQLAlchemy's. A program that is written anew makes one engine at its
start, keeps it, and disposes of it at its end.

## Fix safety

It is safe where the arguments are the same each time, everything that is taken of the engine is given back by a `with`
(`engine.connect()`, `engine.begin()`, sessions and what a session factory makes), every statement can be read, and
leaves nothing in the session, and nothing is called within the `with` but what it gave, and what plainly only computes.

It is left to review where the caller gives the address, where a session or a connection is closed by hand or nothing
closes it, where statements are made elsewhere, where the engine, a session or a connection is handed to code that is
not seen, where a second connection is taken while one is held, where it is waited for something else meanwhile, where
callers run while a connection is held, where a coroutine uses a blocking engine, and where each call has an event loop
of its own.

It is never done where the program says itself what the engine's connections are made of or pooled by (`poolclass`,
`creator`), where an argument cannot be hashed, such as `connect_args`, or is made anew each time, where it listens to
the engine's events, where it is kept, for `engine_from_config`, and for SQLite, where opening a file is all that
connecting costs.

Engines of SQLite, probes (`test_connection`) and helpers whose callers are in other modules and whose names promise no
connection for each call are advice.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._connections.callers import asked_of, name_callers
from penstock_migrations._connections.fixes import Fixes
from penstock_migrations._connections.messages import describe
from penstock_migrations._connections.openers import Kind, is_file_engine
from penstock_migrations._connections.openings import Openings
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_REMEDY = "make one engine for each database, once, and keep it"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls that open a new engine, with a pool of its own, for each operation."""
    for opening in module.analysis(Openings).found:
        if opening.opener.kind is Kind.ENGINE:
            decision = module.analysis(Fixes).of(opening)
            yield Defect(
                node=opening.opener.call,
                severity=Severity.LOW if opening.advice or is_file_engine(module, opening.opener) else Severity.HIGH,
                message=f"{describe(opening, 'a new engine, with a pool of its own,')}; {_REMEDY}",
                fix=decision.fix,
                fix_reason=decision.reason,
                rewrites=decision.rewrites,
                callees=asked_of(module, opening, decision),
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN202",
    triggers=(
        b"create_engine",
        b"create_async_engine",
        b"engine_from_config",
    ),
    detect=detect,
    settle=name_callers,
    bad=(
        Example(
            "an engine for each query",
            """
from sqlalchemy import create_engine, text

URL = "postgresql://db/items"

def count_rows():
    engine = create_engine(URL)
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM items"))
""",
            """
import penstock_pooling.sqlalchemy
from sqlalchemy import create_engine, text

URL = "postgresql://db/items"

def count_rows():
    engine = penstock_pooling.sqlalchemy.create_engine(URL)
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM items"))
""",
        ),
        Example(
            "a session factory for each operation",
            """
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

def sessions(url):
    return async_sessionmaker(create_async_engine(url))

async def save(url, item):
    async with sessions(url)() as session:
        session.add(item)
        await session.commit()
""",
        ),
    ),
    good=(
        Example(
            "an engine kept by a decorator",
            """
import functools

from sqlalchemy import create_engine

@functools.lru_cache
def engine_for(url):
    return create_engine(url)

def count_rows(url):
    with engine_for(url).connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM items").scalar()
""",
        ),
        Example(
            "an engine made on first use",
            """
from sqlalchemy import create_engine

_engine = None

def get_engine():
    global _engine
    if _engine is None:
        _engine = create_engine("postgresql://db/items")
    return _engine

def count_rows():
    with get_engine().connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM items").scalar()
""",
        ),
        Example(
            "an engine of the object",
            """
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

class Store:
    def __init__(self, url):
        engine = create_engine(url)
        self.sessions = sessionmaker(bind=engine)

    def save(self, item):
        with self.sessions.begin() as session:
            session.add(item)
""",
        ),
    ),
)
