"""Connections, engines and clients: for each operation, or kept, pooled, or for what no pool serves."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Severity

HEAD = """import asyncio, functools
import aiosqlite, asyncpg, duckdb, psycopg, psycopg2, pymongo, redis, sqlalchemy, sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
"""


def findings(folder: Path, source: str):
    """Audit a module of which the imports are written already."""
    (folder / "shape.py").write_text(HEAD + source, encoding="utf-8")
    return audit([folder], Settings(select=("2",))).findings


FOUND = {
    "in a parenthesised with": (
        "PEN204",
        "def load(p):\n    with (closing(sqlite3.connect(p)) as c, c):\n        return c.execute('SELECT 1').one()",
    ),
    "a row factory set, a row count returned in an object": (
        "PEN204",
        (
            "def run(p, sql):\n    c = sqlite3.connect(p)\n    c.row_factory = sqlite3.Row\n    cur = c.cursor()\n"
            "    cur.execute(sql)\n    return Frame({'rows': [cur.rowcount]})"
        ),
    ),
    "what is read is returned": (
        "PEN202",
        "def load(u):\n    e = sqlalchemy.create_engine(u)\n    rows = read_sql('SELECT 1', e)\n    return rows",
    ),
    "a session of the engine": (
        "PEN202",
        "def load(u):\n    s = sessionmaker(bind=sqlalchemy.create_engine(u))()\n    return s.query(Item).all()",
    ),
    "kept on the object for the call only": (
        "PEN201",
        (
            "class A:\n    def run(self, sql):\n        self.c = psycopg2.connect(self.d)\n"
            "        self.c.cursor().execute(sql)\n        self.c.close()"
        ),
    ),
    "a nested helper of a function that outlives the call": (
        "PEN201",
        (
            "class A:\n    def connect_all(self, d):\n        def fresh():\n            return psycopg2.connect(d)\n"
            "        def run(sql):\n            c = fresh()\n            return read(sql, c)\n        self.run = run"
        ),
    ),
    "a helper in a thread": (
        "PEN201",
        (
            "def _load(d):\n    with psycopg.connect(d) as c:\n        return c.execute('SELECT 1').fetchall()\n"
            "async def load(d):\n    return await asyncio.to_thread(_load, d)"
        ),
    ),
    "a helper two calls away": (
        "PEN201",
        (
            "class A:\n    async def _c(self):\n        return await asyncpg.connect(self.d)\n"
            "    async def _open(self):\n        return await self._c()\n"
            "    async def load(self):\n        c = await self._open()\n        return await c.fetch('SELECT 1')"
        ),
    ),
    "a property that caches nothing": (
        "PEN203",
        (
            "class A:\n    @property\n    def client(self):\n        return redis.Redis(host=self.h)\n"
            "    def load(self, k):\n        return self.client.get(k)"
        ),
    ),
    "a driver that the object holds": (
        "PEN201",
        (
            "class A:\n    def __init__(self):\n        self.driver = psycopg2\n"
            "    def load(self):\n        c = self.driver.connect(self.d)\n        return c.cursor().fetchall()"
        ),
    ),
    "a session set beside a query that is handed in": (
        "PEN201",
        (
            "def load(d, q):\n    c = psycopg2.connect(d)\n    cur = c.cursor()\n"
            "    cur.execute('ALTER SESSION SET x = 1')\n    cur.execute(q)\n    return cur.fetchall()"
        ),
    ),
    "a table made on the way": (
        "PEN204",
        (
            "def save(p, v):\n    with sqlite3.connect(p) as c:\n        c.execute('CREATE TABLE t (v)')\n"
            "        c.execute('INSERT INTO t VALUES (?)', (v,))"
        ),
    ),
    "an engine whose pool is told its size": (
        "PEN202",
        (
            "class A:\n    def _engine(self):\n        return sqlalchemy.create_engine(self.u, pool_size=P.pool_size)\n"
            "    def load(self):\n        return read_sql('SELECT 1', self._engine())"
        ),
    ),
    "a helper that makes a key of a cache": (
        "PEN203",
        (
            "def _client(u):\n    cache_key = u.lower()\n    note(cache_key)\n    return pymongo.MongoClient(u)\n"
            "def load(u):\n    return _client(u).db.items.find_one()"
        ),
    ),
    "a schema that is read": (
        "PEN201",
        "def get_schema(d):\n    with psycopg.connect(d) as c:\n        return c.execute(Q).description",
    ),
    "a dependency of a framework": (
        "PEN201",
        (
            "async def get_db():\n    c = await asyncpg.connect(D)\n    try:\n        yield c\n    finally:\n"
            "        await c.close()"
        ),
    ),
    "a new connection in each turn of a loop without end": (
        "PEN201",
        "def run(d):\n    while True:\n        with psycopg.connect(d) as c:\n            c.execute('SELECT 1')",
    ),
}
LEFT = {
    "at module level": "engine = sqlalchemy.create_engine(U)",
    "a global": "def get():\n    global c\n    c = redis.Redis()\n    return c",
    "a dictionary": "C = {}\ndef get(u):\n    if u not in C:\n        C[u] = redis.from_url(u)\n    return C[u]",
    "a lookup before": (
        "C = {}\ndef get(u):\n    c = C.get(u)\n    if c is None:\n        c = C[u] = redis.from_url(u)\n    return c"
    ),
    "a parameter that may be given": (
        "def load(c=None):\n    if c is None:\n        c = psycopg.connect(D)\n    return c.execute('SELECT 1').one()"
    ),
    "a parameter's own, or a new one": (
        "def load(setup):\n    if setup.client is not None:\n        c = setup.client\n    else:\n"
        "        c = redis.from_url(U)\n    return c.get('k')"
    ),
    "a choice": "def load(c=None):\n    c = c if c else psycopg.connect(D)\n    return c.execute('SELECT 1')",
    "a lazy property": (
        "class A:\n    @lazy_property()\n    def engine(self):\n        return sqlalchemy.create_engine(self.u)\n"
        "    def load(self):\n        return read_sql('SELECT 1', self.engine)"
    ),
    "a closure": (
        "class A:\n    def use(self, p):\n        c = sqlite3.connect(p)\n        def run(sql):\n"
        "            return read_sql(sql, c)\n        self.run = run"
    ),
    "a factory called by __init__": (
        "class A:\n    def __init__(self):\n        self.c = self._make()\n    def _make(self):\n"
        "        c = duckdb.connect(self.p)\n        return c"
    ),
    "a pool of one's own": (
        "class A:\n    def _take(self):\n        if self._pool:\n            return self._pool.pop()\n"
        "        return self._make()\n    def _make(self):\n        return psycopg2.connect(self.d)\n"
        "    def load(self):\n        c = self._take()\n        return c.cursor().fetchall()"
    ),
    "an object made of it": (
        "class A:\n    @classmethod\n    @asynccontextmanager\n    async def from_dsn(cls, d):\n"
        "        async with await psycopg.AsyncConnection.connect(d) as c:\n            yield cls(c)"
    ),
    "a database in memory": "def f(sql):\n    return sqlite3.connect(':memory:').execute(sql).fetchall()",
    "DuckDB in memory": "def f(sql):\n    return duckdb.connect().execute(sql).fetchall()",
    "a database dropped": (
        "def wipe(d):\n    c = psycopg2.connect(d)\n    c.autocommit = True\n    c.cursor().execute('DROP DATABASE x')"
    ),
    "LISTEN": "def f(d):\n    c = psycopg2.connect(d)\n    c.cursor().execute('LISTEN events')\n    return c.notifies",
    "used by a loop without end": (
        "def run(u):\n    c = redis.from_url(u)\n    while True:\n        handle(c.blpop('jobs'))"
    ),
    "a test": "def test_load():\n    c = psycopg2.connect(D)\n    assert c.cursor().fetchall()",
    "a command": "@app.command()\ndef report():\n    print(psycopg2.connect(D).cursor().fetchall())",
    "a helper of main": (
        "def load(d):\n    return psycopg2.connect(d).cursor().fetchall()\ndef main():\n    print(load(D))"
    ),
    "a client of a shared pool": "def get(k):\n    return redis.Redis(connection_pool=POOL).get(k)",
    "an engine that is asked for its address": (
        "def mask(u):\n    e = sqlalchemy.create_engine(u)\n    return e.url.render_as_string(hide_password=True)"
    ),
    "a factory for others": "def create_client(u):\n    return pymongo.MongoClient(u)",
    "a method of the same name": "def run(bus):\n    c = bus.connect(1)\n    return c.execute('SELECT 1')",
}


@pytest.mark.parametrize(("code", "source"), FOUND.values(), ids=FOUND)
def test_finds_what_each_operation_opens(code, source, tmp_path):
    """It is found once, whatever way the connection takes."""
    assert [one.code for one in findings(tmp_path, source)] == [code]


@pytest.mark.parametrize("source", LEFT.values(), ids=LEFT)
def test_leaves_alone_what_is_kept_or_needed(source, tmp_path):
    """What is kept, pooled, made once, or made for what no pool serves is no defect."""
    assert not findings(tmp_path, source)


@pytest.mark.parametrize(
    "source",
    [
        "def probe(d):\n    def ask():\n        return psycopg.connect(d).execute('SELECT 1').one()\n    return ask",
        "def _ask(d):\n    psycopg2.connect(d).cursor().execute('SELECT 1')\ndef health(d):\n    return _ask(d)",
        "def check_database(d):\n    with psycopg.connect(d) as c:\n        c.execute('SELECT 1')",
        "def load():\n    return read_sql('SELECT 1', sqlalchemy.create_engine('sqlite:///a.db'))",
        "def load(p):\n    return duckdb.connect(p).execute('SELECT 1').fetchall()",
    ],
)
def test_advises_only(source, tmp_path):
    """A probe is advice, and so is a database in a file."""
    assert {one.severity for one in findings(tmp_path, source)} == {Severity.LOW}


def test_names_the_helper_and_its_first_callers(tmp_path):
    """A helper is reported once, with two callers and the number of the others."""
    methods = "".join(
        f"    def {name}(self):\n        return self._open().cursor().fetchall()\n" for name in ("a", "b", "c", "d")
    )
    (found,) = findings(tmp_path, f"class A:\n    def _open(self):\n        return psycopg2.connect(self.d)\n{methods}")

    assert "psycopg2.connect in _open opens a new connection for each call of A.a, A.b and 2 more" in found.message


def test_names_the_callers_of_other_modules(tmp_path):
    """What a helper opens for each of its callers is theirs, wherever they are."""
    for name in ("orders", "users"):
        source = f"from shape import get_connection\n\ndef load_{name}():\n    return get_connection().execute('')\n"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    (found,) = findings(tmp_path, "def get_connection():\n    return psycopg.connect('d')\n")

    callers = "for each caller of get_connection: load_orders (orders.py), load_users (users.py); take it"
    assert callers in found.message
