"""Shapes of code that opens a connection, or an engine, for each operation, by what the codemod makes of them."""

from __future__ import annotations

HEAD = """import asyncio
import contextlib
import functools
import logging
import os
import ssl
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager, suppress

import asyncpg
import psycopg
import psycopg2

DSN = "postgresql://db/items"
QUERY = "SELECT 1"
log = logging.getLogger(__name__)

"""

# Each defines `run`, which is called without arguments: so they can be run before and after.
SAFE = {
    "closed in a finally": """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval(QUERY)
    finally:
        await c.close()
""",
    "opened within the try": """
async def run():
    c = None
    try:
        c = await asyncpg.connect(DSN)
        return await c.fetchval("SELECT 1")
    finally:
        if c is not None:
            await c.close()
""",
    "closed unless it is closed": """
async def run():
    c = None
    try:
        c = await asyncpg.connect(dsn=DSN, timeout=5)
        return await c.fetchval("SELECT 1")
    finally:
        if c and not c.is_closed():
            await c.close()
""",
    "early returns within the try": """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        if not await c.fetchval("SELECT 0"):
            return None
        for number in range(3):
            if number == 2:
                return number
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    "a handler beside the finally": """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1 / 0")
    except ArithmeticError:
        return "infinite"
    finally:
        await c.close()
""",
    "a helper that keeps its name": """
async def _connection():
    return await asyncpg.connect(DSN)

async def run():
    c = await _connection()
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    "a helper of the object, which names what it opens": """
class Store:
    def __init__(self):
        self.dsn = DSN

    async def connection(self):
        c = await asyncpg.connect(self.dsn)
        return c

    async def load(self):
        c = await self.connection()
        try:
            return await c.fetchval("SELECT 1")
        finally:
            await c.close()

    async def save(self):
        c = await self.connection()
        try:
            async with c.transaction():
                return await c.execute("INSERT INTO items VALUES ($1)", 1)
        finally:
            await c.close()

async def run():
    store = Store()
    return [await store.load(), await store.save()]
""",
    "a coroutine that is handed on, and awaited by the caller": """
def _open():
    return asyncpg.connect(DSN)

async def run():
    c = await _open()
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    "a deadline over the connecting": """
async def run():
    c = await asyncio.wait_for(asyncpg.connect(DSN), timeout=5)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    "a context manager": """
@asynccontextmanager
async def _connection():
    c = await asyncpg.connect(DSN)
    try:
        yield c
    finally:
        await c.close()

async def run():
    async with _connection() as c:
        return await c.fetchval("SELECT 1")
""",
    "a context manager of another's kind of connection": """
@contextmanager
def _connection():
    with psycopg.connect(DSN) as c:
        yield c

def run():
    with _connection() as c:
        return c.execute("SELECT 1").fetchone()
""",
    "with closing": """
def run():
    with closing(psycopg2.connect(DSN)) as c:
        with c.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone()
""",
    "with of psycopg, a cursor beside it": """
def run():
    with psycopg.connect(DSN) as c, c.cursor() as cursor:
        cursor.execute("SELECT %s", (1,))
        return cursor.fetchone()
""",
    "async with of psycopg": """
async def run():
    async with await psycopg.AsyncConnection.connect(DSN) as c:
        cursor = await c.execute("SELECT 1")
        return await cursor.fetchone()
""",
    "an exit stack": """
def run():
    with ExitStack() as stack:
        c = stack.enter_context(psycopg.connect(DSN))
        return c.execute("SELECT 1").fetchone()
""",
    "a cursor made before the try": """
def run():
    c = psycopg2.connect(DSN)
    cursor = c.cursor()
    try:
        cursor.execute("SELECT 1")
        c.commit()
        return cursor.fetchone()
    except Exception:
        c.rollback()
        raise
    finally:
        cursor.close()
        c.close()
""",
    "closed if it was opened, by its name": """
def run():
    try:
        c = psycopg2.connect(DSN)
        cursor = c.cursor()
        cursor.execute("SELECT 1")
        return cursor.fetchone()
    finally:
        if "c" in locals():
            c.close()
""",
    "a failing connect that is handled": """
def run():
    try:
        c = psycopg2.connect(DSN)
    except psycopg2.OperationalError:
        log.warning("no database")
        return None
    try:
        cursor = c.cursor()
        cursor.execute("SELECT 1")
        return cursor.fetchone()
    finally:
        c.close()
""",
    "a try around it all": """
def run():
    try:
        c = psycopg2.connect(DSN)
        try:
            cursor = c.cursor()
            cursor.execute("SELECT 1")
            return cursor.fetchone()
        finally:
            c.close()
    except psycopg2.Error:
        return None
""",
    "retries of the connecting": """
async def _connection():
    for attempt in range(3):
        try:
            return await asyncpg.connect(DSN)
        except OSError:
            if attempt == 2:
                raise

async def run():
    c = await _connection()
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    "one for each item, closed each time": """
async def run():
    found = []
    for number in range(3):
        c = await asyncpg.connect(DSN)
        try:
            found.append(await c.fetchval("SELECT $1", number))
        finally:
            await c.close()
    return found
""",
    "a function that closes it": """
async def _close(connection):
    if connection is not None:
        await connection.close()

async def run():
    c = None
    try:
        c = await asyncpg.connect(DSN)
        return await c.fetchval("SELECT 1")
    finally:
        await _close(c)
""",
    "a function that borrows it": """
async def _load(connection, key):
    return await connection.fetchval("SELECT $1", key)

async def run():
    c = await asyncpg.connect(DSN)
    try:
        return await _load(c, 1)
    finally:
        await c.close()
""",
    "a query that is put together": """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        query = "SELECT 1"
        if log.isEnabledFor(0):
            query += " LIMIT 1"
        return await c.fetchval(query)
    finally:
        await c.close()
""",
    "a private function that is given its query": """
async def _fetch(query, *arguments):
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval(query, *arguments)
    finally:
        await c.close()

async def run():
    return [await _fetch("SELECT 1"), await _fetch("SELECT $1", 2)]
""",
    "a context manager that hands out a cursor": """
@contextmanager
def _cursor():
    c = psycopg2.connect(DSN)
    try:
        cursor = c.cursor()
        yield cursor
        c.commit()
    finally:
        c.close()

def run():
    with _cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    "an exit stack that closes it last": """
def run():
    with ExitStack() as stack:
        c = stack.enter_context(closing(psycopg2.connect(DSN)))
        cursor = stack.enter_context(c.cursor())
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    "an address of the environment": """
def run():
    with psycopg.connect(host=os.environ.get("HOST", "db"), port=int(os.getenv("PORT", "5432"))) as c:
        return c.execute("SELECT 1").fetchone()
""",
    "an address that a method puts together": """
class Store:
    host = "db"

    def _dsn(self):
        return f"postgresql://{self.host}/items"

    def load(self):
        with psycopg.connect(self._dsn()) as c:
            return c.execute("SELECT 1").fetchone()

def run():
    return Store().load()
""",
    "settings of one transaction": """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        async with c.transaction():
            await c.execute("SET LOCAL statement_timeout = '5s'; SELECT 1")
            return await c.fetchval("SELECT pg_advisory_xact_lock(1)")
    finally:
        await c.close()
""",
    "tables that may be missing": """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        await c.execute("CREATE TABLE IF NOT EXISTS items (id integer)")
        return await c.fetchval("SELECT count(*) FROM items")
    finally:
        await c.close()
""",
    "a library that may be missing": """
try:
    import asyncpg
except ImportError:
    asyncpg = None

async def run():
    if asyncpg is None:
        raise RuntimeError("asyncpg is not installed")
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    "another name for the function": """
from psycopg2 import connect as open_connection

def run():
    with closing(open_connection(DSN)) as c, c.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    "sync work of a coroutine, done before it awaits": """
async def run():
    with closing(psycopg2.connect(DSN)) as c, c.cursor() as cursor:
        cursor.execute("SELECT 1")
        found = cursor.fetchone()
    await asyncio.sleep(0)
    return found
""",
    "what only computes meanwhile": """
import json
from typing import NamedTuple

class Item(NamedTuple):
    name: str

    @classmethod
    def of(cls, row):
        return cls(_name(row))

def _name(row):
    return f"item {row}".strip()

def run():
    items = []
    with psycopg.connect(DSN) as c:
        for number in range(2):
            row = c.execute("SELECT %s", (json.dumps({"number": number}),)).fetchone()
            log.info("row %s", row)
            items.append(Item.of(row))
        return sorted(items, key=lambda item: item.name)
""",
    "a context manager of the module around a statement": """
@contextmanager
def _told(what):
    log.info("begins: %s", what)
    yield
    log.info("done: %s", what)

def run():
    with psycopg.connect(DSN) as c:
        with _told("load"):
            return c.execute("SELECT 1").fetchone()
""",
    "its cursor is lent to a function of the module": """
def _load(cursor, key):
    cursor.execute("SELECT %s", (key,))
    return cursor.fetchone()

def run():
    with psycopg.connect(DSN) as c, c.cursor() as cursor:
        return _load(cursor, 1)
""",
    "work of a thread": """
def _load():
    with psycopg.connect(DSN) as c:
        return c.execute("SELECT 1").fetchone()

async def run():
    return await asyncio.to_thread(_load)
""",
}

REVIEW = {
    "nothing closes it when something fails": (
        "when something fails",
        """
async def run():
    c = await asyncpg.connect(DSN)
    found = await c.fetchval("SELECT 1")
    await c.close()
    return found
""",
    ),
    "a cancelled coroutine does not close it": (
        "when something fails",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        found = await c.fetchval("SELECT 1")
    except Exception:
        await c.close()
        raise
    await c.close()
    return found
""",
    ),
    "one of many callers does not close it": (
        "save does not close it when something fails",
        """
class Store:
    async def _connection(self):
        return await asyncpg.connect(self.dsn)

    async def load(self):
        c = await self._connection()
        try:
            return await c.fetchval("SELECT 1")
        finally:
            await c.close()

    async def save(self):
        c = await self._connection()
        await c.execute("INSERT INTO items VALUES (1)")
        await c.close()
""",
    ),
    "the caller gives the address": (
        "each other address",
        """
async def run(dsn):
    c = await asyncpg.connect(dsn)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "the caller gives the database's name": (
        "each other address",
        """
def run(tenant):
    with psycopg.connect(host="db", dbname=f"tenant_{tenant}") as c:
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "the caller gives the query": (
        "statements that are not written here",
        """
class Store:
    def query(self, sql, arguments=()):
        with psycopg.connect(self.dsn) as c:
            return c.execute(sql, arguments).fetchall()
""",
    ),
    "a function of other modules, too, is given the query": (
        "statements that are not written here",
        """
async def fetch(query):
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval(query)
    finally:
        await c.close()

async def load():
    return await fetch("SELECT 1")
""",
    ),
    "one of the queries given is not to be seen": (
        "statements that are not written here",
        """
async def _fetch(query):
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval(query)
    finally:
        await c.close()

async def load(arguments):
    return [await _fetch("SELECT 1"), await _fetch(*arguments)]
""",
    ),
    "a cursor of one of two kinds runs the caller's query": (
        "statements that are not written here",
        """
def run(sql, *, named):
    with psycopg.connect(DSN) as c:
        cursor = c.cursor("name") if named else c.cursor()
        cursor.execute(sql)
        return cursor.fetchall()
""",
    ),
    "types of the connection": (
        "registers types",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        await c.set_type_codec("jsonb", encoder=str, decoder=str, schema="pg_catalog")
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "types of an extension": (
        "registers types",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        await register_vector(c)
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "autocommit": (
        "sets autocommit",
        """
def run():
    with closing(psycopg2.connect(DSN)) as c:
        c.autocommit = True
        c.cursor().execute("SELECT 1")
""",
    ),
    "a temporary table": (
        "temporary table",
        """
def run():
    with psycopg.connect(DSN) as c:
        c.execute("CREATE TEMP TABLE batch (id integer)")
        return c.execute("SELECT count(*) FROM batch").fetchone()
""",
    ),
    "a schema that changes": (
        "changes the schema",
        """
def run():
    with psycopg.connect(DSN) as c:
        c.execute("ALTER TABLE items ADD COLUMN note text")
        return c.execute("SELECT count(*) FROM items").fetchone()
""",
    ),
    "it is handed to what is not seen": (
        "hands it to repository.load",
        """
async def run(repository):
    c = await asyncpg.connect(DSN)
    try:
        return await repository.load(c)
    finally:
        await c.close()
""",
    ),
    "it has another name": (
        "another name",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        same = c
        return await same.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "the callers are elsewhere": (
        "the callers of get_db are elsewhere",
        """
async def get_db():
    c = await asyncpg.connect(DSN)
    try:
        yield c
    finally:
        await c.close()
""",
    ),
    "a helper that is handed on": (
        "_connection is handed on as a function",
        """
def _connection():
    return psycopg.connect(DSN)

def run():
    with _connection() as c:
        return c.execute("SELECT 1").fetchone()

REGISTRY = {"items": _connection}
""",
    ),
    "another one is opened meanwhile": (
        "opens another while it holds one",
        """
class Store:
    async def _connection(self):
        return await asyncpg.connect(self.dsn)

    async def name(self, key):
        c = await self._connection()
        try:
            return await c.fetchval("SELECT name FROM items WHERE id = $1", key)
        finally:
            await c.close()

    async def names(self):
        c = await self._connection()
        try:
            return [await self.name(row["id"]) for row in await c.fetch("SELECT id FROM items")]
        finally:
            await c.close()
""",
    ),
    "a model is asked meanwhile": (
        "waits for something else while it holds it (provider.embed)",
        """
async def run(provider, question):
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetch("SELECT 1 ORDER BY embedding <=> $1", await provider.embed(question))
    finally:
        await c.close()
""",
    ),
    "a lock is taken meanwhile": (
        "waits for something else while it holds it",
        """
class Store:
    async def save(self):
        c = await asyncpg.connect(DSN)
        try:
            async with self.lock:
                await c.execute("INSERT INTO items VALUES (1)")
        finally:
            await c.close()
""",
    ),
    "a thread sleeps meanwhile": (
        "waits for something else while it holds it (time.sleep)",
        """
import time

def run():
    with psycopg.connect(DSN) as c:
        c.execute("INSERT INTO items VALUES (1)")
        time.sleep(1)
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "it or something else is taken": (
        "takes it or something else",
        """
async def run(other):
    c = await asyncpg.connect(DSN)
    try:
        chosen = c or other
        return await chosen.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "statements of a caller, on the cursor of a context manager": (
        "statements that are not written here",
        """
@contextmanager
def _cursor():
    with closing(psycopg2.connect(DSN)) as c, c.cursor() as cursor:
        yield cursor

def run(sql):
    with _cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()
""",
    ),
    "another one is opened under an exit stack": (
        "opens another while it holds one",
        """
def run():
    with ExitStack() as stack:
        first = stack.enter_context(psycopg.connect(DSN))
        second = stack.enter_context(psycopg.connect(DSN))
        return first.execute("SELECT 1").fetchone() == second.execute("SELECT 1").fetchone()
""",
    ),
    "rows are yielded while it is held": (
        "its callers run while it holds it",
        """
async def rows():
    c = await asyncpg.connect(DSN)
    try:
        async with c.transaction():
            async for row in c.cursor("SELECT 1"):
                yield row
    finally:
        await c.close()
""",
    ),
    "rows are handed to a coroutine of another module": (
        "waits for something else while it holds it (enrich)",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        row = await c.fetchrow("SELECT id FROM items")
        return await enrich(row)
    finally:
        await c.close()
""",
    ),
    "rows are put into a queue that may be full": (
        "waits for something else while it holds it (self.queue.put)",
        """
class Store:
    async def publish(self):
        c = await asyncpg.connect(DSN)
        try:
            rows = await c.fetch("SELECT id FROM items")
            await self.queue.put(rows)
        finally:
            await c.close()
""",
    ),
    "rows are handed to another object": (
        "waits for something else while it holds it (self.repository.one)",
        """
class Store:
    async def load(self):
        c = await asyncpg.connect(DSN)
        try:
            row = await c.fetchrow("SELECT id FROM items")
            return await self.repository.one(row)
        finally:
            await c.close()
""",
    ),
    "a model is given the rows": (
        "waits for something else while it holds it (model.complete)",
        """
async def run(model, question):
    c = await asyncpg.connect(DSN)
    try:
        return await model.complete(question, await c.fetch("SELECT body FROM items"))
    finally:
        await c.close()
""",
    ),
    "a deadline over something else": (
        "waits for something else while it holds it",
        """
async def run(cache):
    c = await asyncpg.connect(DSN)
    try:
        return await asyncio.wait_for(cache.fill(await c.fetch("SELECT 1")), 60)
    finally:
        await c.close()
""",
    ),
    "a function of the module waits": (
        "waits for something else while it holds it (model.embed)",
        """
async def _embed(model, text):
    return await model.embed(text)

async def run(model):
    c = await asyncpg.connect(DSN)
    try:
        return await _embed(model, await c.fetchval("SELECT 1"))
    finally:
        await c.close()
""",
    ),
    "a function of the module is lent the connection, and waits": (
        "waits for something else while it holds it (model.embed)",
        """
async def _embed(connection, model):
    return await model.embed(await connection.fetchval("SELECT 1"))

async def run(model):
    c = await asyncpg.connect(DSN)
    try:
        return await _embed(c, model)
    finally:
        await c.close()
""",
    ),
    "a task is left behind that uses it": (
        "hands it to",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        return asyncio.create_task(c.execute("INSERT INTO items VALUES (1)"))
    finally:
        await c.close()
""",
    ),
    "a pool of threads is given the rows": (
        "calls ThreadPoolExecutor while it holds it",
        """
from concurrent.futures import ThreadPoolExecutor

def _process(row):
    with psycopg.connect(DSN) as c:
        c.execute("INSERT INTO items VALUES (%s)", row)

def run():
    with psycopg.connect(DSN) as c:
        rows = c.execute("SELECT id FROM items").fetchall()
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(_process, rows))
""",
    ),
    "a lock of threads is taken meanwhile": (
        "waits for something else while it holds it (_lock)",
        """
def run():
    with psycopg.connect(DSN) as c:
        with _lock:
            c.execute("UPDATE items SET number = number + 1")
""",
    ),
    "another object saves each row": (
        "calls self.store.save while it holds it",
        """
class Service:
    def run(self):
        with psycopg.connect(DSN) as c:
            for row in c.execute("SELECT id FROM items").fetchall():
                self.store.save(row)
""",
    ),
    "a function of another module saves each row": (
        "calls save while it holds it",
        """
from store import save

def run():
    with psycopg.connect(DSN) as c:
        return [save(row) for row in c.execute("SELECT id FROM items")]
""",
    ),
    "a function that is given saves each row": (
        "calls map while it holds it",
        """
from store import save

def run():
    with psycopg.connect(DSN) as c:
        return list(map(save, c.execute("SELECT id FROM items").fetchall()))
""",
    ),
    "a future's result is awaited": (
        "calls future.result while it holds it",
        """
def run(future):
    with psycopg.connect(DSN) as c:
        c.execute("INSERT INTO items VALUES (%s)", (future.result(),))
""",
    ),
    "a queue is asked meanwhile": (
        "calls jobs.get while it holds it",
        """
import queue

jobs = queue.Queue()

def run():
    with psycopg.connect(DSN) as c:
        c.execute("INSERT INTO items VALUES (%s)", (jobs.get(),))
""",
    ),
    "a program runs meanwhile": (
        "calls subprocess.run while it holds it",
        """
import subprocess

def run():
    with psycopg.connect(DSN) as c:
        subprocess.run(["pg_dump", DSN], check=True)
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "a thread is joined meanwhile": (
        "while it holds it",
        """
import threading

def _work():
    with psycopg.connect(DSN) as c:
        c.execute("SELECT 1")

def run():
    with psycopg.connect(DSN) as c:
        thread = threading.Thread(target=_work)
        thread.start()
        thread.join()
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "a loop over what the caller gives": (
        "works through messages while it holds it",
        """
def ingest(messages):
    with psycopg.connect(DSN) as c:
        for message in messages:
            c.execute("INSERT INTO items VALUES (%s)", (message,))
            c.commit()
""",
    ),
    "a loop that counts for ever": (
        "works through itertools.count while it holds it",
        """
import itertools

def run():
    with psycopg.connect(DSN) as c:
        for number in itertools.count():
            c.execute("INSERT INTO items VALUES (%s)", (number,))
""",
    ),
    "a loop over what is not seen": (
        "calls tail while it holds it",
        """
def run(path):
    with psycopg.connect(DSN) as c:
        for line in tail(path):
            c.execute("INSERT INTO items VALUES (%s)", (line,))
""",
    ),
    "a numbered loop over what the caller gives": (
        "works through enumerate while it holds it",
        """
def ingest(messages):
    with psycopg.connect(DSN) as c:
        for number, message in enumerate(messages):
            c.execute("INSERT INTO items VALUES (%s, %s)", (number, message))
""",
    ),
    "a loop that goes on while a flag is set": (
        "works through self.running while it holds it",
        """
class Store:
    def ingest(self):
        with psycopg.connect(DSN) as c:
            while self.running:
                c.execute("INSERT INTO items VALUES (1)")
""",
    ),
    "its cursor is handed to what is not seen": (
        "hands it to set_tenant",
        """
from tenants import set_tenant

def run():
    with closing(psycopg2.connect(DSN)) as c:
        cursor = c.cursor()
        set_tenant(cursor)
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    ),
    "its cursor is returned": (
        "outlive it",
        """
def run():
    with psycopg.connect(DSN) as c:
        return c.execute("SELECT 1")
""",
    ),
    "its rows are read later": (
        "outlive it",
        """
def run():
    with psycopg.connect(DSN) as c:
        cursor = c.execute("SELECT 1")
        return (row for row in cursor)
""",
    ),
    "a procedure": (
        "statements that are not written here",
        """
def run():
    with closing(psycopg2.connect(DSN)) as c:
        cursor = c.cursor()
        cursor.callproc("pg_try_advisory_lock", (1,))
        return cursor.fetchone()
""",
    ),
    "a cache is asked meanwhile": (
        "calls self.cache.get while it holds it",
        """
class Cache:
    def get(self, key):
        return fetch(key)

class Store:
    def __init__(self):
        self.cache = Cache()

    def load(self, key):
        with psycopg.connect(DSN) as c:
            return self.cache.get(key) or c.execute("SELECT 1").fetchone()
""",
    ),
    "one of many caches is asked meanwhile": (
        "while it holds it",
        """
class Store:
    def __init__(self):
        self.caches = {}

    def load(self, key):
        with psycopg.connect(DSN) as c:
            return self.caches[key].get(key) or c.execute("SELECT 1").fetchone()
""",
    ),
    "a decorated function of the module is called": (
        "calls _name while it holds it",
        """
@retry
def _name(row):
    return str(row)

def run():
    with psycopg.connect(DSN) as c:
        return _name(c.execute("SELECT 1").fetchone())
""",
    ),
    "a model of the module is made, which asks another": (
        "calls Item while it holds it",
        """
class Item:
    def __init__(self, row):
        self.text = fetch(row)

def run():
    with psycopg.connect(DSN) as c:
        return Item(c.execute("SELECT 1").fetchone())
""",
    ),
    "a table is read by another connection": (
        "while it holds it",
        """
def run(engine):
    with psycopg.connect(DSN) as c:
        c.execute("INSERT INTO items VALUES (1)")
        return pandas.read_sql("SELECT 1", engine)
""",
    ),
    "a context manager that is entered without a name": (
        "calls work while it holds it",
        """
@contextmanager
def _connection():
    with psycopg.connect(DSN) as c:
        c.execute("SELECT 1")
        yield c

def run(work):
    with _connection():
        work()
""",
    ),
    "a context manager that yields nothing": (
        "calls work while it holds it",
        """
@contextmanager
def _connection():
    with psycopg.connect(DSN) as c:
        c.execute("SELECT 1")
        yield

def run(work):
    with _connection():
        work()
""",
    ),
    "the module drops databases": (
        "makes or drops databases",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()

def recreate(run_as_admin):
    run_as_admin("DROP DATABASE IF EXISTS items")
""",
    ),
    "the standard library is patched": (
        "patches the standard library (monkey.patch_all)",
        """
from gevent import monkey

monkey.patch_all()

def run():
    with psycopg.connect(DSN) as c:
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "an argument is made by code that is not seen": (
        "made by code that is not to be seen here",
        """
from settings import make_settings

async def run():
    c = await asyncpg.connect(DSN, server_settings=make_settings())
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "one tenant's store of many": (
        "each other address",
        """
class TenantStore:
    def __init__(self, dsn):
        self.dsn = dsn

    async def load(self):
        c = await asyncpg.connect(self.dsn)
        try:
            return await c.fetchval("SELECT 1")
        finally:
            await c.close()
""",
    ),
    "a block of procedural code": (
        "runs a procedure",
        """
def run():
    with psycopg.connect(DSN) as c:
        c.execute("DO $$ BEGIN PERFORM work(); END $$")
""",
    ),
    "an event loop for each call": (
        "an event loop of its own",
        """
async def _load():
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()

def load():
    return asyncio.run(_load())
""",
    ),
    "a nested function has it": (
        "a function within run",
        """
async def run(submit):
    c = await asyncpg.connect(DSN)
    try:
        async def save():
            await c.execute("INSERT INTO items VALUES (1)")
        await submit(save)
    finally:
        await c.close()
""",
    ),
}

NONE = {
    "nothing closes it": (
        "nothing closes it in run",
        """
async def run():
    c = await asyncpg.connect(DSN)
    return await c.fetchval("SELECT 1")
""",
    ),
    "a function closes it if it is told to": (
        "nothing closes it in run",
        """
async def _finish(connection, *, keep):
    if not keep:
        await connection.close()

async def run(keep):
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await _finish(c, keep=keep)
""",
    ),
    "it is used where it is opened": (
        "used where it is opened",
        """
def run():
    return psycopg.connect(DSN).execute("SELECT 1").fetchone()
""",
    ),
    "with of psycopg2 does not close": (
        "`with` ends a transaction",
        """
def run():
    with psycopg2.connect(DSN) as c, c.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    ),
    "a return before the close": (
        "on every way out",
        """
def run():
    c = psycopg2.connect(DSN)
    cursor = c.cursor()
    cursor.execute("SELECT 1")
    if not cursor.rowcount:
        return None
    c.close()
    return 1
""",
    ),
    "a handler opens another one while the failed one is open": (
        "on every way out",
        """
class Store:
    async def save(self):
        try:
            c = await asyncpg.connect(self.dsn)
            await c.execute("INSERT INTO items VALUES (1)")
            await c.close()
        except asyncpg.UniqueViolationError:
            return await self.load()

    async def load(self):
        return 1
""",
    ),
    "a loop opens one after the other": (
        "on every way out",
        """
def run(keys):
    for key in keys:
        c = psycopg2.connect(DSN)
        c.cursor().execute("SELECT 1")
    c.close()
""",
    ),
    "a helper's connection is kept, too": (
        "cannot be followed",
        """
class Store:
    def _connection(self):
        return psycopg.connect(self.dsn)

    def start(self):
        self.listener = self._connection()

    def load(self):
        with self._connection() as c:
            return c.execute("SELECT 1").fetchone()
""",
    ),
    "a helper's connection is kept by the module": (
        "for good",
        """
def _connection():
    return psycopg.connect(DSN)

KEPT = _connection()

def load():
    with _connection() as c:
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "a helper's connection listens, too": (
        "listens",
        """
class Store:
    async def _connection(self):
        return await asyncpg.connect(self.dsn)

    async def load(self):
        c = await self._connection()
        try:
            return await c.fetchval("SELECT 1")
        finally:
            await c.close()

    async def updates(self, handle):
        c = await self._connection()
        try:
            await c.add_listener("updates", handle)
            await asyncio.sleep(3600)
        finally:
            await c.close()
""",
    ),
    "a helper makes a database, too": (
        "sets up the server",
        """
def _connection():
    return psycopg.connect(DSN, autocommit=True)

def load():
    with _connection() as c:
        return c.execute("SELECT 1").fetchone()

def make():
    with _connection() as c:
        c.execute("CREATE DATABASE items")
""",
    ),
    "a setting of the session": (
        "settings of the session",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        await c.execute("SET search_path TO tenant")
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "a setting of the session, after another statement": (
        "settings of the session",
        """
async def run():
    c = await asyncpg.connect(DSN)
    try:
        return await c.execute("INSERT INTO items VALUES (1); -- and then\\n SET search_path TO tenant")
    finally:
        await c.close()
""",
    ),
    "a setting of the session, by a function": (
        "settings of the session",
        """
def run():
    with psycopg.connect(DSN) as c:
        return c.execute("SELECT set_config('app.tenant', %s, false)", ("a",)).fetchone()
""",
    ),
    "a setting of the session, of nested functions": (
        "settings of the session",
        """
def run():
    with psycopg.connect(DSN) as c:
        return c.execute("SELECT set_config('app.tenant', coalesce(%s, ''), false), current_setting('a', true)", ("a",))
""",
    ),
    "a setting of the session, in a function's cursor": (
        "settings of the session",
        """
def _set(cursor, tenant):
    cursor.execute("SET app.tenant = %s", (tenant,))

def run():
    with psycopg.connect(DSN) as c, c.cursor() as cursor:
        _set(cursor, "a")
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    ),
    "a lock of the session": (
        "advisory lock",
        """
async def run(work):
    c = await asyncpg.connect(DSN)
    try:
        if await c.fetchval("SELECT pg_try_advisory_lock(42)"):
            await work()
    finally:
        await c.close()
""",
    ),
    "maintenance": (
        "maintains tables",
        """
def run():
    with psycopg.connect(DSN, autocommit=True) as c:
        c.execute("VACUUM items")
""",
    ),
    "a dictionary among the arguments": (
        "cannot be hashed",
        """
async def run():
    c = await asyncpg.connect(DSN, server_settings={"search_path": "tenant"})
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "a dictionary that is named": (
        "cannot be hashed",
        """
SETTINGS = {"search_path": "tenant"}

async def run():
    c = await asyncpg.connect(DSN, server_settings=SETTINGS)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "a context for TLS made anew": (
        "made anew",
        """
async def run():
    c = await asyncpg.connect(DSN, ssl=ssl.create_default_context())
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "a password that is new each time": (
        "made anew",
        """
def run(signer):
    with psycopg.connect(host="db", user="app", password=signer.generate_db_auth_token()) as c:
        return c.execute("SELECT 1").fetchone()
""",
    ),
    "a class of connections": (
        "connection_class=",
        """
async def run():
    c = await asyncpg.connect(DSN, connection_class=Mine)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "a blocking connection held over an await": (
        "stop the event loop",
        """
async def run(notify):
    with closing(psycopg2.connect(DSN)) as c:
        cursor = c.cursor()
        cursor.execute("SELECT 1")
        await notify(cursor.fetchone())
""",
    ),
    "a blocking connection held over an async with": (
        "stop the event loop",
        """
async def run(session):
    with psycopg.connect(DSN) as c:
        async with session:
            c.execute("SELECT 1")
""",
    ),
    "a probe": (
        "can be reached",
        """
async def is_healthy():
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1") == 1
    finally:
        await c.close()
""",
    ),
    "a probe by another name": (
        "can be reached",
        """
def is_up():
    try:
        with psycopg.connect(DSN):
            return True
    except psycopg.OperationalError:
        return False
""",
    ),
    "a probe by another name, which closes by hand": (
        "can be reached",
        """
async def status():
    try:
        c = await asyncpg.connect(DSN, timeout=2)
    except OSError:
        return "down"
    await c.close()
    return "up"
""",
    ),
    "a library that may be another": (
        "may stand for something else",
        """
try:
    import psycopg
except ImportError:
    import psycopg2 as psycopg

def run():
    with closing(psycopg.connect(DSN)) as c:
        c.cursor().execute("SELECT 1")
""",
    ),
    "a stand-in where the library is missing": (
        "may stand for something else",
        """
try:
    import asyncpg
except ImportError:
    asyncpg = StandIn()

async def run():
    c = await asyncpg.connect(DSN)
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
""",
    ),
    "a library that the object holds": (
        "may stand for something else",
        """
class Store:
    def __init__(self):
        self.driver = psycopg2

    def load(self):
        with closing(self.driver.connect(DSN)) as c:
            c.cursor().execute("SELECT 1")
""",
    ),
    "a driver without a drop-in": (
        "no drop-in for pymysql",
        """
import pymysql

def run():
    with closing(pymysql.connect(host="db")) as c, c.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()
""",
    ),
    "it goes into a tuple": (
        "cannot be followed",
        """
def _open():
    c = psycopg2.connect(DSN)
    return c, c.cursor()

def run():
    c, cursor = _open()
    try:
        cursor.execute("SELECT 1")
    finally:
        c.close()
""",
    ),
    "a helper runs in a thread": (
        "cannot be followed",
        """
def _connection():
    return psycopg2.connect(DSN)

async def run():
    c = await asyncio.to_thread(_connection)
    try:
        return await asyncio.to_thread(load, c)
    finally:
        c.close()
""",
    ),
}

ENGINE_HEAD = """from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

URL = "postgresql://db/items"

"""

ENGINES_SAFE = {
    "a connection": """
def run():
    engine = create_engine(URL, pool_pre_ping=True)
    try:
        with engine.begin() as c:
            return c.execute(text("SELECT 1")).scalar()
    finally:
        engine.dispose()
""",
    "a session": """
class Store:
    def load(self):
        engine = create_engine(self.url)
        with Session(engine) as session:
            return session.scalars(select(Item)).all()
""",
    "a session factory": """
class Store:
    def _sessions(self):
        return async_sessionmaker(create_async_engine(self.url), expire_on_commit=False)

    async def save(self, item):
        async with self._sessions().begin() as session:
            session.add(item)
""",
    "a table that is read": """
class Store:
    def load(self):
        engine = create_engine(self.url)
        return pandas.read_sql("SELECT 1", engine)
""",
}
ENGINES_REVIEW = {
    "a table that is read in chunks": (
        "reads in chunks",
        """
def run(handle):
    for chunk in pandas.read_sql("SELECT 1", create_engine(URL), chunksize=100):
        handle(chunk)
""",
    ),
    "a second connection of it": (
        "calls engine.connect while it holds it",
        """
def run():
    engine = create_engine(URL)
    with engine.connect() as first, engine.connect() as second:
        return first.scalar(text("SELECT 1")) == second.scalar(text("SELECT 1"))
""",
    ),
    "a function that takes another": (
        "opens another while it holds one",
        """
def price(number):
    with create_engine(URL).connect() as c:
        return c.scalar(text("SELECT 1"))

def run():
    with create_engine(URL).connect() as c:
        return sum(price(number) for number in c.scalars(text("SELECT 1")))
""",
    ),
    "a model is asked meanwhile": (
        "waits for something else while it holds it (model.complete)",
        """
async def run(model, question):
    async with create_async_engine(URL).connect() as c:
        rows = (await c.execute(text("SELECT 1"))).all()
        return await model.complete(question, rows)
""",
    ),
    "a connection of it is handed to what is not seen": (
        "hands it to prepare",
        """
def run():
    with create_engine(URL).connect() as c:
        prepare(c)
        return c.scalar(text("SELECT 1"))
""",
    ),
    "a table that is made by its connection": (
        "hands it to ITEMS.create",
        """
def run():
    with create_engine(URL).begin() as c:
        ITEMS.create(c)
        return c.scalar(text("SELECT 1"))
""",
    ),
    "code that is not seen works on it": (
        "statements that are not written here",
        """
async def run(work):
    async with create_async_engine(URL).connect() as c:
        return await c.run_sync(work)
""",
    ),
    "an address from the caller": (
        "each other address",
        """
def run(url):
    with create_engine(url).connect() as c:
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
    "a session that is closed by hand": (
        "nothing to be seen closes",
        """
def run():
    session = sessionmaker(bind=create_engine(URL))()
    try:
        return session.execute(text("SELECT 1")).scalar()
    finally:
        session.close()
""",
    ),
    "statements of the caller": (
        "statements that are not written here",
        """
class Store:
    def query(self, sql):
        with create_engine(self.url).connect() as c:
            return c.execute(text(sql)).all()
""",
    ),
    "an engine that is handed on": (
        "hands the engine to Database",
        """
class Store:
    def load(self):
        return Database(create_engine(self.url)).load()
""",
    ),
}
ENGINES_NONE = {
    "no pool is wanted": (
        "poolclass=",
        """
def run():
    with create_engine(URL, poolclass=NullPool).connect() as c:
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
    "arguments of the driver": (
        "cannot be hashed",
        """
def run():
    with create_engine(URL, connect_args={"sslmode": "require"}).connect() as c:
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
    "events of the engine": (
        "listens to events",
        """
def run():
    engine = create_engine(URL)
    event.listen(engine, "connect", print)
    with engine.connect() as c:
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
    "SQLite": (
        "to open a file",
        """
def run():
    with create_engine("sqlite:///items.db").connect() as c:
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
    "a setting of the session, by the driver": (
        "settings of the session",
        """
def run():
    with create_engine(URL).connect() as c:
        c.exec_driver_sql("SET search_path TO tenant")
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
    "a setting of the session, by a scalar": (
        "settings of the session",
        """
def run():
    with Session(create_engine(URL)) as session:
        return session.scalar(text("SELECT set_config('app.tenant', 'a', false)"))
""",
    ),
    "a setting of the session, by a function": (
        "settings of the session",
        """
def run(tenant):
    with create_engine(URL).connect() as c:
        return c.execute(select(func.set_config("app.tenant", tenant, False))).scalar()
""",
    ),
    "a lock of the session": (
        "advisory lock",
        """
def run():
    with create_engine(URL).connect() as c:
        if c.scalar(text("SELECT pg_try_advisory_lock(42)")):
            c.execute(text("UPDATE items SET number = 1"))
""",
    ),
    "a lock of the session, by a function that is named": (
        "advisory lock",
        """
def run():
    lock = func.pg_advisory_lock(42)
    with create_engine(URL).connect() as c:
        return c.execute(select(lock)).scalar()
""",
    ),
    "a setting of the session": (
        "settings of the session",
        """
def run():
    with create_engine(URL).connect() as c:
        c.execute(text("SET search_path TO tenant"))
        return c.execute(text("SELECT 1")).scalar()
""",
    ),
}
