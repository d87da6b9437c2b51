"""Finds `asyncio.gather` calls that start as many awaitables as there is data.

## What it does

Looks at what is starred into `asyncio.gather`, or into that of anyio or tqdm, or mapped by `anyio.amap`: a
comprehension, a generator, `map`, a name that was bound to one of them or filled by `append` and `extend`, the values
of a dict, what a function of the same module returns. It reports the call if data, a request or a model sets the number
of awaitables and nothing on the way limits how many run at once.

It leaves alone what is limited already: a wrapper, a method or a function of an imported module that takes a semaphore
which the calls share, a semaphore handed over as an argument, an HTTP client made with a limit of its connections,
chunks, slices, constant collections, pools of workers, what the program is configured with (agents, handlers,
providers), and tasks that are cancelled or were started elsewhere. A semaphore made anew for each item limits nothing,
and one that is used only if somebody configured it limits nothing by default. Where only a name is to be seen, its
words decide: `handlers` are configured, `urls` are data.

## Why is this bad

All awaitables start at once. A thousand documents are a thousand requests in flight: the provider answers 429, the
connection pool runs dry, memory grows with the input, and one slow dependency takes the whole process with it. It
works in every test, because tests have three documents.

## Example

```python
async def summarize_all(documents):
    return await asyncio.gather(*[summarize(document) for document in documents])
```

## Use instead

```python
async def summarize_all(documents):
    return await penstock_limits.gather(*[summarize(document) for document in documents], limit="api_call")
```

`penstock_limits.gather` takes what `asyncio.gather` takes and gives what it gives. A named limit follows its flag: with
the mode off, the call is `asyncio.gather`.

## Fix safety

The rewrite is safe where coroutines are gathered, and where tasks are made that nobody would notice to start later:
made in gather's own arguments, or in a block that makes a new list, fills it with tasks and gathers all of it, with no
wait, no other use, no `with`, no other task and no call in between but such as are known to change no context variable.
Then the coroutines themselves are gathered. Where something raises between the making and the gather, the tasks would
have run on; the coroutines never start, and Python warns that they were never awaited. Work that fans out again under
the same limit lends its permit on, so nesting and recursion do not deadlock.

It is left to review where callers decide what is gathered, where unlike work is gathered together, where the work, or
what it awaits, waits for what others bring (an event, a future, a queue, a state that it polls, a signal to stop) and
may so wait for its peers, where the gather stands under a lock that admitted work may wait for, where it handles
messages, where tasks are made beside a call that nobody sees through, where an annotation promises tasks, and where the
number follows from what the object was set up with before.

It is never done where the work may not end or waits for its peers (listeners, servers, workers on a queue, a barrier),
where tasks are kept in a dict or a set, stand among coroutines, run already when they reach gather or belong to a
group, where the name `gather` may be another's, and in Temporal workflows.

What the work awaits is followed through this module's functions and methods, and six calls deep into other audited
modules. Work of which nothing is seen is taken to end by itself: a method of an object whose class no annotation and no
call in the module tells, `anext`, what runs in an executor or a thread. Work that holds the same limiter itself, or
fans out on it in a thread of its own, needs a place beside the one it has. So observe first: `would_wait` says where a
limit would hold back at all.

A finding of low severity is advice: what the object itself holds, what is torn down, and what never ends.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._fanout.fan_outs import FanOuts
from penstock_migrations._fanout.fixes import gather_fix
from penstock_migrations._fanout.messages import describe, severity_of
from penstock_migrations._fanout.settling import settle_fan_out
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the gathers whose number of awaitables nothing limits."""
    found = module.analysis(FanOuts)
    for fan_out in found.gathers:
        fix, reason, rewrites = gather_fix(found, fan_out, options.limit)
        called = module.qualified(fan_out.call.func) or ast.unparse(fan_out.call.func)
        yield Defect(
            node=fan_out.call,
            severity=severity_of(fan_out),
            message=f"{called} {describe(fan_out)}; give it a limit: penstock_limits.gather(..., limit=...)",
            fix=fix,
            fix_reason=reason,
            rewrites=rewrites,
            callees=found.callees(fan_out),
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN101",
    triggers=(b"gather", b"amap", b"as_completed"),
    detect=detect,
    settle=settle_fan_out,
    bad=(
        Example(
            "a generator",
            """
import asyncio

async def fetch_all(urls):
    return await asyncio.gather(*(fetch(url) for url in urls), return_exceptions=True)
""",
            """
import asyncio

import penstock_limits

async def fetch_all(urls):
    return await penstock_limits.gather(*(fetch(url) for url in urls), return_exceptions=True, limit="api_call")
""",
        ),
        Example(
            "a list filled by append, gather imported under another name",
            """
from asyncio import gather as together

async def embed_all(documents):
    calls = []
    for document in documents:
        if document.text:
            calls.append(embed(document))
    return list(await together(*calls))
""",
            """
from asyncio import gather as together

import penstock_limits

async def embed_all(documents):
    calls = []
    for document in documents:
        if document.text:
            calls.append(embed(document))
    return list(await penstock_limits.gather(*calls, limit="api_call"))
""",
        ),
        Example(
            "tasks made in the same function",
            """
import asyncio

async def run_all(inputs):
    tasks = [asyncio.create_task(run(item)) for item in inputs]
    return await asyncio.gather(*tasks)
""",
            """
import asyncio

import penstock_limits

async def run_all(inputs):
    tasks = [run(item) for item in inputs]
    return await penstock_limits.gather(*tasks, limit="api_call")
""",
        ),
        Example(
            "a function of the module makes the coroutines",
            """
import asyncio

def calls_for(queries):
    return [search(query) for query in queries]

async def search_all(queries):
    return await asyncio.wait_for(asyncio.gather(*calls_for(queries)), timeout=30)
""",
            """
import asyncio

import penstock_limits

def calls_for(queries):
    return [search(query) for query in queries]

async def search_all(queries):
    return await asyncio.wait_for(penstock_limits.gather(*calls_for(queries), limit="api_call"), timeout=30)
""",
        ),
        Example(
            "a semaphore made for each item",
            """
import asyncio

async def fetch_all(urls):
    async def fetch_limited(url):
        semaphore = asyncio.Semaphore(5)
        async with semaphore:
            return await fetch(url)

    return await asyncio.gather(*map(fetch_limited, urls))
""",
            """
import asyncio

import penstock_limits

async def fetch_all(urls):
    async def fetch_limited(url):
        semaphore = asyncio.Semaphore(5)
        async with semaphore:
            return await fetch(url)

    return await penstock_limits.gather(*map(fetch_limited, urls), limit="api_call")
""",
        ),
        Example(
            "anyio's map",
            """
import anyio

async def embed_all(texts):
    return await anyio.amap(embed, texts)
""",
        ),
        Example(
            "a limiter that nobody configured",
            """
import asyncio

class Runner:
    def __init__(self, limit=None):
        self.semaphore = asyncio.Semaphore(limit) if limit else None

    async def run(self, job):
        if self.semaphore:
            async with self.semaphore:
                return await job.execute()
        return await job.execute()

    async def run_all(self, jobs):
        return await asyncio.gather(*{job.name: self.run(job) for job in jobs}.values())
""",
            """
import asyncio

import penstock_limits

class Runner:
    def __init__(self, limit=None):
        self.semaphore = asyncio.Semaphore(limit) if limit else None

    async def run(self, job):
        if self.semaphore:
            async with self.semaphore:
                return await job.execute()
        return await job.execute()

    async def run_all(self, jobs):
        return await penstock_limits.gather(*{job.name: self.run(job) for job in jobs}.values(), limit="api_call")
""",
        ),
    ),
    good=(
        Example(
            "as many as there are slots, a tuple of two, futures that run already",
            """
import asyncio

async def dispatch(jobs, slots):
    started = []
    for job in jobs:
        if len(started) >= slots:
            break
        started.append(run(job))
    await asyncio.gather(*started)

async def race(selectors: tuple[str, str]):
    return await asyncio.gather(*[find(selector) for selector in selectors])

async def settle(running):
    return await asyncio.gather(*[asyncio.shield(future) for future in running])
""",
        ),
        Example(
            "a nested wrapper takes a semaphore",
            """
import asyncio

async def fetch_all(urls):
    semaphore = asyncio.Semaphore(5)

    async def fetch_limited(url):
        async with semaphore:
            return await fetch(url)

    return await asyncio.gather(*(fetch_limited(url) for url in urls))
""",
        ),
        Example(
            "the method that does the work takes one",
            """
import asyncio

class Crawler:
    def __init__(self):
        self._free = asyncio.BoundedSemaphore(10)

    async def fetch(self, url):
        async with self._free:
            return await self.client.get(url)

    async def fetch_all(self, urls):
        return await asyncio.gather(*[self.fetch(url) for url in urls])
""",
        ),
        Example(
            "a semaphore is handed over",
            """
import asyncio

async def fetch_all(urls, semaphore):
    return await asyncio.gather(*[fetch(url, semaphore) for url in urls])
""",
        ),
        Example(
            "chunks",
            """
import asyncio

async def embed_all(texts):
    for start in range(0, len(texts), 16):
        batch = texts[start : start + 16]
        await asyncio.gather(*[embed(text) for text in batch])
""",
        ),
        Example(
            "a slice",
            """
import asyncio

async def search_some(queries):
    return await asyncio.gather(*[search(query) for query in queries[:3]])
""",
        ),
        Example(
            "a constant number",
            """
import asyncio

REGIONS = ("eu", "us")

async def warm_up():
    await asyncio.gather(*[connect(region) for region in REGIONS])
    first, second = await asyncio.gather(one(), two())
""",
        ),
        Example(
            "a pool of workers",
            """
import asyncio

async def drain(queue, max_workers):
    await asyncio.gather(*(worker(queue) for _ in range(max_workers)))
""",
        ),
        Example(
            "tasks that were cancelled",
            """
import asyncio

async def stop(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
""",
        ),
        Example(
            "what the program is configured with",
            """
import asyncio

async def publish(event, listeners):
    await asyncio.gather(*(listener.handle(event) for listener in listeners))
""",
        ),
    ),
)
