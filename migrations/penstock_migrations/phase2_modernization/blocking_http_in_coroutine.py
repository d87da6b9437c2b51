"""Finds synchronous HTTP that blocks the event loop: in a coroutine, or in what it calls, in any audited file.

## What it does

Looks for `requests`, `urllib.request`, `urllib3`, `http.client`, the synchronous functions and clients of `httpx` and
`httpx2`, and vendors' synchronous clients (`openai.OpenAI`, `boto3.client`). A client is known again where it was kept:
in a variable, an attribute of self, a `with`, an annotated parameter, or returned by a helper function. It reports the
call if a coroutine makes it, and the call of a coroutine that leads there through synchronous functions of any audited
file; then the message shows the way. Functions, methods and modules listed in `blocking_calls` count as HTTP, too.

It leaves alone synchronous programs, awaited calls, asynchronous clients, what is handed to a thread (PEN504), a
`partial` and a generator that the coroutine only hands on, helpers' branches for development (`if settings.DEBUG:`),
and functions that ask first whether a loop runs. What a helper without parameters does once, as its result is cached,
is advice of low severity; so is what lies five functions down.

## Why is this bad

While one request waits for its answer, the whole event loop waits with it: no other request is served, no timeout
fires, no heartbeat is sent. A provider that answers in thirty seconds stops every user for thirty seconds.

## Example

```python
async def answer(question):
    return requests.post(URL, json={"question": question}).json()
```

## Use instead

```python
async def answer(question):
    response = await client.post(URL, json={"question": question})
    return response.json()
```

`client` is one `httpx.AsyncClient` that the program opens at its start and closes at its end.

## Fix safety

It is reported, not rewritten: asynchronous clients differ in redirects, timeouts, exceptions and what they accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._blocking.coroutines import in_coroutines
from penstock_migrations._blocking.sites import blocking_sites
from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity, Site

__all__ = ["RULE", "detect"]

_CODE = "PEN501"
_KINDS = ("http", "sdk")
_ADVICE = "await an asynchronous client instead"
_REASON = "asynchronous clients differ in redirects, timeouts and exceptions: replace it by hand, tests at hand"


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the synchronous HTTP in coroutines' own code."""
    for found in in_coroutines(module, options, _KINDS):
        yield Defect(
            node=found.node,
            severity=Severity.HIGH,
            message=f"{found.what} blocks the event loop until the answer is there; {_ADVICE}",
            fix_reason=_REASON,
        )


def survey(project: Project, _options: Options) -> Iterator[tuple[Path, Site]]:
    """Yield the calls in coroutines that come to HTTP through synchronous functions."""
    return blocking_sites(project, _CODE, _KINDS, _ADVICE, _REASON)


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code=_CODE,
    triggers=(b"async def",),
    detect=detect,
    survey=survey,
    bad=(
        Example(
            "in the coroutine itself",
            """
import requests

async def load(url):
    return requests.get(url, timeout=10).json()
""",
        ),
        Example(
            "through helper functions",
            """
from urllib.request import urlopen

def fetch(url):
    with urlopen(url) as response:
        return response.read()

def fetch_text(url):
    return fetch(url).decode()

async def load(url):
    return fetch_text(url)
""",
        ),
        Example(
            "a session that the object holds",
            """
import requests

class Crawler:
    def __init__(self):
        self.session = requests.Session()

    async def crawl(self, url):
        return self.session.get(url)
""",
        ),
        Example(
            "a synchronous client's method, handed to a helper",
            """
import httpx

class Model:
    async def ask(self, question):
        with httpx.Client() as client:
            return self.retried(client.post, "/ask", json=question)
""",
        ),
        Example(
            "a vendor's synchronous client",
            """
from openai import OpenAI

client = OpenAI()

async def answer(messages):
    return client.chat.completions.create(model="small", messages=messages)
""",
        ),
    ),
    good=(
        Example(
            "an asynchronous client",
            """
import httpx

async def load(url):
    async with httpx.AsyncClient() as client:
        response = await client.get(url)
        return response.json()
""",
        ),
        Example(
            "a synchronous program",
            """
import requests

def load(url):
    return requests.get(url, timeout=10).json()

def main():
    print(load("https://example.org"))
""",
        ),
        Example(
            "a function of two colours, which hands a coroutine to those who await it",
            """
import httpx

class Client:
    async def connect(self):
        await self._open("async")

    def _open(self, colour):
        if colour == "async":

            async def opened():
                async with httpx.AsyncClient() as client:
                    return await client.get(URL)

            return opened()
        with httpx.Client() as client:
            return client.get(URL)
""",
        ),
        Example(
            "a dictionary that is called like a module",
            """
async def load(requests, session):
    return requests.get("first") or session.get("first")
""",
        ),
        Example(
            "arguments bound for a thread",
            """
import asyncio
from functools import partial

import requests

def fetch(url, timeout):
    return requests.get(url, timeout=timeout)

async def load(url, hand_over):
    return await hand_over(partial(fetch, url, timeout=10))
""",
        ),
        Example(
            "a generator that the coroutine does not iterate",
            """
import requests
from starlette.responses import StreamingResponse

def parts(url):
    with requests.get(url, stream=True) as response:
        yield from response.iter_content()
        yield b""

async def proxy(url):
    return StreamingResponse(parts(url))
""",
        ),
        Example(
            "what is fetched during development only",
            """
import requests

def page(settings):
    if settings.DEBUG:
        return requests.get("http://localhost:3000/index.html").text
    return settings.page

async def index(settings):
    return page(settings)
""",
        ),
        Example(
            "a helper that asks whether a loop runs",
            """
import asyncio
import requests

def notify(url):
    try:
        asyncio.get_running_loop().create_task(post_later(url))
    except RuntimeError:
        requests.post(url)

async def run(url):
    notify(url)
""",
        ),
    ),
)
