"""Finds HTTP clients, connection pools, Redis clients, connections and sockets that nobody closes.

## What it does

Follows what `aiohttp.ClientSession`, `httpx.Client`, `httpx.AsyncClient`, `requests.Session`, `redis.Redis`,
`asyncpg.create_pool`, `websockets.connect`, `socket.socket` and their like return. It reports the call if a local name
holds it to the end, or if an attribute of self holds it and the module closes that attribute nowhere.

It leaves alone what is closed: by `with`, `contextlib.closing`, an exit stack, in a `finally`, in a method that closes,
by a callback (`atexit.register(client.close)`). It leaves alone what somebody else has then: what is returned, yielded
or handed to another object. And it leaves alone what lives as long as the process: names of the module, attributes of a
class, clients that never open a connection (`httpx.MockTransport`).

`managed_classes` in the settings lists a project's own classes: `["vendor.Client"]`.

## Why is this bad

An open client keeps its connections: each call, or each object, leaves some behind. The process runs out of file
descriptors, the server out of connections, and the only hint is a `ResourceWarning` or "Unclosed client session" in a
log, long after the cause.

## Example

```python
async def fetch(url):
    session = aiohttp.ClientSession()
    response = await session.get(url)
    return await response.json()
```

## Use instead

```python
async def fetch(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()
```

Better still, share one client for all calls and close it when the application stops.

## Fix safety

Never rewritten: how long a client must live is for a person to choose.

A finding of low severity is advice: a close that a failure skips, `with sqlite3.connect(...)`, which ends the
transaction and leaves the connection open, what the only object of a class keeps, engines and clients meant to last as
long as the process, and what another object's attribute keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._lifetimes.fates import End
from penstock_migrations._lifetimes.lifetimes import Lifetimes
from penstock_migrations._lifetimes.messages import describe, reason
from penstock_migrations._lifetimes.resources import CLIENTS, managed
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the clients that a name or an attribute holds and nobody closes."""
    for leak in module.analysis(Lifetimes).leaks(CLIENTS | managed(options.managed_classes)):
        if leak.fate.end is not End.USED:
            yield Defect(
                node=leak.call,
                severity=leak.severity,
                message=f"{describe(leak)}; use a with statement, or close it where its owner ends",
                fix_reason=reason(leak),
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN601",
    triggers=(
        b"ClientSession",
        b"httpx",
        b"requests",
        b"redis",
        b"socket",
        b".connect(",
        b"create_pool",
        b"ConnectionPool",
        b"create_engine",
        b"create_async_engine",
        b"MongoClient",
        b"MotorClient",
        b"neo4j",
        b"grpc",
        b"aiokafka",
        b"aio_pika",
        b"smtplib",
        b"ftplib",
        b"imaplib",
        b"paramiko",
        b"clickhouse_connect",
    ),
    detect=detect,
    bad=(
        Example(
            "a local session",
            """
import aiohttp

async def fetch(url):
    session = aiohttp.ClientSession()
    response = await session.get(url)
    return await response.json()
""",
        ),
        Example(
            "a class without a close",
            """
import redis.asyncio as redis

class Cache:
    def __init__(self, url):
        self._client = redis.from_url(url)

    async def get(self, key):
        return await self._client.get(key)
""",
        ),
        Example(
            "a client made if the caller brings none",
            """
import httpx

def fetch(url, client=None):
    client = client or httpx.Client(timeout=10)
    return client.get(url).json()
""",
        ),
        Example(
            "a socket",
            """
import socket

def free_port():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener.getsockname()[1]
""",
        ),
        Example(
            "a pool made on first use",
            """
import asyncpg

class Store:
    _pool = None

    async def fetch(self, query):
        if self._pool is None:
            pool = await asyncpg.create_pool(self.dsn)
            self._pool = pool
        return await self._pool.fetch(query)
""",
        ),
    ),
    good=(
        Example(
            "a with statement",
            """
import aiohttp

async def fetch(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()
""",
        ),
        Example(
            "a class that closes what it owns",
            """
import httpx

class Client:
    def __init__(self, client=None):
        self._owns_client = client is None
        self._client = client or httpx.AsyncClient()

    async def __aexit__(self, *error):
        if self._owns_client:
            await self._client.aclose()
""",
        ),
        Example(
            "a lifespan",
            """
import contextlib
import httpx

@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.client = httpx.AsyncClient()
    yield
    await app.state.client.aclose()
""",
        ),
        Example(
            "a factory, and another owner",
            """
import httpx
import openai

def make_client(proxy):
    client = httpx.AsyncClient(proxy=proxy)
    client.headers["user-agent"] = "agents"
    return client

def make_model(proxy):
    return openai.AsyncOpenAI(http_client=httpx.AsyncClient(proxy=proxy))
""",
        ),
        Example(
            "as long as the process lives",
            """
import functools
import redis
import requests

SESSION = requests.Session()

class Api:
    _session = None

    @classmethod
    def session(cls):
        if cls._session is None:
            cls._session = requests.Session()
        return cls._session

@functools.lru_cache
def cache():
    return redis.Redis()
""",
        ),
        Example(
            "an exit stack, and a finally",
            """
import sqlite3
import contextlib
import asyncpg

async def copy(source, target):
    async with contextlib.AsyncExitStack() as stack:
        pool = await asyncpg.create_pool(target)
        stack.push_async_callback(pool.close)
        connection = sqlite3.connect(source)
        try:
            await pool.copy_records_to_table("rows", records=connection.execute("select * from rows"))
        finally:
            connection.close()
""",
        ),
    ),
)
