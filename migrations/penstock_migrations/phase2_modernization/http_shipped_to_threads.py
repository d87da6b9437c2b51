"""Finds synchronous HTTP that a coroutine ships to a thread or an executor instead of awaiting it.

## What it does

Looks at what is handed to `asyncio.to_thread`, `loop.run_in_executor`, `anyio.to_thread.run_sync`, `sync_to_async`,
`run_in_threadpool`, to methods whose names tell of an executor or a thread (`async_add_executor_job`), and within
coroutines to `executor.submit` and `threading.Thread`: a function, a bound method, a `functools.partial`, a lambda. It
reports the shipping call if that does HTTP, itself or through the functions that it calls in any audited file; then the
message shows the way. Where a function is defined to be shipped, within the function that ships it, its HTTP call is
reported itself. A vendor's synchronous client (`boto3.client`) is advice, of low severity.

It leaves alone files, databases, computation, and the threads of synchronous programs.

## Why is this bad

Each request in flight holds a thread, of a pool of some thirty that all share: under load the pool is the hidden limit,
and everything else that needs a thread, even a name lookup, waits behind slow answers. A cancelled coroutine does not
cancel its thread: the request goes on, and its thread stays taken.

## Example

```python
async def load(url):
    return await asyncio.to_thread(requests.get, url)
```

## Use instead

```python
async def load(url):
    return await client.get(url)
```

`client` is one `httpx.AsyncClient` that the program opens at its start and closes at its end.

## Fix safety

It is reported, not rewritten: asynchronous clients differ in redirects, timeouts, exceptions and what they accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._blocking.chains import chains
from penstock_migrations._blocking.sites import site
from penstock_migrations._blocking.threads import shipped_http
from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity, Site

__all__ = ["RULE", "detect"]

_CODE = "PEN504"
_ADVICE = "await an asynchronous client instead"
_REASON = "asynchronous clients differ in redirects, timeouts and exceptions: replace it by hand, tests at hand"


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the HTTP that a module ships to threads, as far as its own code shows it."""
    for found in shipped_http(module, options):
        yield Defect(
            node=found.node,
            severity=_severity(found.kind),
            message=f"{found.what} holds a thread until the answer is there, shipped by {found.by}; {_ADVICE}",
            fix_reason=_REASON,
        )


def survey(project: Project, _options: Options) -> Iterator[tuple[Path, Site]]:
    """Yield the calls that ship functions which come to HTTP."""
    for found in chains(project).shipped:
        message = f"a thread is held until the answer is there: {found.chain.text}; {_ADVICE}"
        yield found.caller.file, site(found, _CODE, message, _REASON, _severity(found.chain.kind))


def _severity(kind: str) -> Severity:
    return Severity.LOW if kind == "sdk" else Severity.MEDIUM


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code=_CODE,
    # in the first, work is shipped; in the others, a plug-in may do HTTP
    triggers=(
        b"thread",
        b"Thread",
        b"executor",
        b"_to_async",
        b"asyncify",
        b"submit",
        b"import requests",
        b"httpx",
        b"urlopen",
    ),
    detect=detect,
    survey=survey,
    bad=(
        Example(
            "as it is",
            """
import asyncio
import requests

async def load(url):
    return await asyncio.to_thread(requests.get, url, timeout=10)
""",
        ),
        Example(
            "in a lambda",
            """
import asyncio
import requests

async def load(url):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: requests.get(url).json())
""",
        ),
        Example(
            "through methods",
            """
import asyncio
import requests

class Store:
    def _get(self, key):
        return requests.get(f"https://example.org/{key}")

    def load(self, key):
        return self._get(key).json()

    async def aload(self, key):
        return await asyncio.to_thread(self.load, key)
""",
        ),
        Example(
            "a function defined for it",
            """
import requests

async def load(hub, url):
    def get_it():
        return requests.get(url)

    return await hub.async_add_executor_job(get_it)
""",
        ),
    ),
    good=(
        Example(
            "computation, files and databases",
            """
import asyncio
import sqlite3

def count(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT count(*) FROM documents").fetchone()

async def load(path):
    return await asyncio.to_thread(count, path)
""",
        ),
        Example(
            "threads that a synchronous program waits for",
            """
import requests
from tqdm.contrib.concurrent import thread_map

def load(url):
    return requests.get(url).content

def load_all(urls):
    return thread_map(load, urls)
""",
        ),
        Example(
            "a thread that a synchronous function starts",
            """
import threading
from urllib.request import urlopen

def send(url):
    urlopen(url)

def start_daemon_thread(target, *arguments):
    threading.Thread(target=target, args=arguments, daemon=True).start()

def report(url):
    start_daemon_thread(send, url)
""",
        ),
        Example(
            "the threads of a synchronous program",
            """
from concurrent.futures import ThreadPoolExecutor

import requests

def load_all(urls):
    with ThreadPoolExecutor(8) as executor:
        return list(executor.map(requests.get, urls))
""",
        ),
    ),
)
