"""Finds operations that each make a client of MongoDB, Redis or another server that clients pool for.

## What it does

Looks at `MongoClient` of pymongo, the clients of motor, `Redis`, `StrictRedis` and `from_url` of redis, redis.asyncio
and valkey, and the drivers of neo4j and cassandra, and follows the client through its function, and through the helpers
of the module that return or yield it.

It leaves alone what is kept: on the object, in a global or a cache, by a decorator that caches, by a closure, by a
pool; what runs once (set-up, `main`, commands, migrations, tests); what is for the schema, for LISTEN or for a loop
without end; and what a caller may hand over instead. A helper that returns a client is judged by its callers in the
module, and reported once, at the helper. So is a client of a pool that is handed over (`connection_pool=`).

## Why is this bad

A client is a pool. One for each operation pools nothing: each call connects and authenticates anew, a `MongoClient`
also starts threads that watch the servers, and a client that nobody closes keeps its sockets until it is collected.
Under load the server runs out of clients, and the host out of ports.

## Example

```python
async def remember(key, value):
    client = redis.asyncio.from_url(URL)
    await client.set(key, value)
    await client.aclose()
```

## Use instead

```python
client = redis.asyncio.from_url(URL, max_connections=20)


async def remember(key, value):
    await client.set(key, value)
```

One client for each server and process, made at start-up, kept, and closed at the end. A process-wide client is safe for
threads; an asynchronous one belongs to the loop it was first used in.

## Fix safety

Nothing is rewritten: where the one client lives, and who closes it, is the program's to say. Probes (`ping`) and
helpers whose callers are in other modules and whose names promise no connection for each call are advice.
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

_REASON = "where the one client is kept, and who closes it, is yours to say"
_REMEDY = "make one client, once, and keep it: it pools its connections"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls that open a new client, with a pool of its own, for each operation."""
    for opening in module.analysis(Openings).found:
        if opening.opener.kind is Kind.CLIENT:
            yield Defect(
                node=opening.opener.call,
                severity=Severity.LOW if opening.advice else Severity.HIGH,
                message=f"{describe(opening, 'a new client, with a pool of its own,')}; {_REMEDY}",
                fix_reason=_REASON,
                callees=asked_of(module, opening),
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN203",
    triggers=(
        b"redis",
        b"mongo",
        b"motor",
        b"valkey",
        b"neo4j",
        b"cassandra",
    ),
    detect=detect,
    settle=name_callers,
    bad=(
        Example(
            "a client for each write",
            """
import redis.asyncio as redis

async def remember(key, value):
    client = redis.from_url("redis://cache")
    await client.set(key, value)
    await client.aclose()
""",
        ),
        Example(
            "a client for each query",
            """
from pymongo import MongoClient

def find_documents(uri, query):
    return list(MongoClient(uri)["library"]["documents"].find(query))
""",
        ),
    ),
    good=(
        Example(
            "a client of the object",
            """
from pymongo import MongoClient

class Library:
    def __init__(self, uri):
        self.documents = MongoClient(uri)["library"]["documents"]

    def find(self, query):
        return list(self.documents.find(query))
""",
        ),
        Example(
            "a client made on first use",
            """
import redis

class Cache:
    _client = None

    @property
    def client(self):
        if self._client is None:
            self._client = redis.Redis(host="cache")
        return self._client

    def get(self, key):
        return self.client.get(key)
""",
        ),
        Example(
            "a client of a pool that is shared",
            """
import redis

pool = redis.ConnectionPool(host="cache")

def get(key):
    return redis.Redis(connection_pool=pool).get(key)
""",
        ),
    ),
)
