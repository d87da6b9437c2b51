"""Finds HTTP clients and connections that are made for one request and dropped.

## What it does

Reports a client, a session, a pool or a connection that is used in the expression that makes it:
`httpx.Client().get(url)`, `await redis.from_url(url).ping()`. No name holds it, so nothing can close it.

It leaves alone the functions that close what they open (`httpx.get`, `requests.get`), and what is made in a `with`.

## Why is this bad

Each request opens a connection of its own, with its handshakes, and leaves it open. Under load the process runs out of
file descriptors and the machine out of ports. A client keeps its connections to use them again; here it never does.

## Example

```python
async def fetch(url):
    return await httpx.AsyncClient().get(url)
```

## Use instead

```python
async def fetch(client, url):
    return await client.get(url)
```

Make one client when the application starts, share it, and close it when the application stops.

## Fix safety

Never rewritten: who owns the shared client is for a person to choose.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._lifetimes.fates import End
from penstock_migrations._lifetimes.lifetimes import Lifetimes
from penstock_migrations._lifetimes.messages import describe, reason
from penstock_migrations._lifetimes.resources import CLIENTS, managed
from penstock_migrations.phase2_modernization import unclosed_client
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the clients that no name holds."""
    for leak in module.analysis(Lifetimes).leaks(CLIENTS | managed(options.managed_classes)):
        if leak.fate.end is End.USED:
            yield Defect(
                node=leak.call,
                severity=leak.severity,
                message=f"{describe(leak)}; share one client and close it at the end, or use a with statement",
                fix_reason=reason(leak),
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN602",
    triggers=unclosed_client.RULE.triggers,
    detect=detect,
    bad=(
        Example(
            "a client for one request",
            """
import httpx

async def fetch(url):
    return await httpx.AsyncClient(timeout=5).get(url)
""",
        ),
        Example(
            "a session for one request",
            """
from requests import Session

def fetch(url):
    return Session().get(url, timeout=5).json()
""",
        ),
        Example(
            "a Redis client for one command",
            """
from redis.asyncio import Redis

async def remember(key, value):
    await Redis.from_url("redis://cache").set(key, value)
""",
        ),
    ),
    good=(
        Example(
            "a shared client",
            """
import httpx

async def fetch(client: httpx.AsyncClient, url):
    return await client.get(url)
""",
        ),
        Example(
            "functions that close what they open",
            """
import httpx

def fetch(url):
    return httpx.get(url).json()
""",
        ),
        Example(
            "a client that never opens a connection",
            """
import httpx

async def check(app):
    return await httpx.AsyncClient(transport=httpx.MockTransport(app)).get("http://test/")
""",
        ),
    ),
)
