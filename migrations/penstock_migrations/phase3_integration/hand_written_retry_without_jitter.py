"""Finds hand-written retries that pause without randomness.

## What it does

Looks at loops of attempts: `for attempt in range(...)`, `while`, a `try` whose failure leads to a sleep and to another
attempt, an answer with a status that is retried; and at functions that call themselves after a failure and a pause. It
reports the sleep if its length is a constant or computed without chance: `2**attempt`, a doubled variable, a table. The
delay is followed through variables, attributes and helper functions of the module, where the jitter often is.

It leaves alone what is no retry: polling until a state is there, throttles, idle queues, heartbeats and other periodic
loops, walks over data where each turn has its own item, retries of local files, delays that the server asked for, and
delays that another object computes.

## Why is this bad

What fails together tries again together. After an outage all clients come back after the same second, then after the
same two, four, eight: each wave overloads the server anew. Exponential backoff makes the waves rarer, not smaller.

## Example

```python
for attempt in range(5):
    try:
        return await client.get(url)
    except httpx.TransportError:
        await asyncio.sleep(2**attempt)
```

## Use instead

```python
for attempt in range(5):
    try:
        return await client.get(url)
    except httpx.TransportError:
        await asyncio.sleep(random.uniform(0, min(60, 2**attempt)))
```

That is full jitter. A library such as tenacity (`wait_random_exponential`) does the same and counts the attempts.

## Fix safety

Not rewritten: what is tried again, which errors are worth it and what happens after the last attempt is spread over the
loop.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._retries.loops import Loops
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the pauses of retries that have no random part."""
    for retry in module.analysis(Loops).without_jitter:
        also = " and heeds no Retry-After" if retry.limited and not retry.heeds else ""
        yield Defect(
            node=retry.sleep,
            severity=Severity.MEDIUM,
            message=f"retry sleeps {ast.unparse(retry.amount)} without jitter{also}; sleep random.uniform(0, delay)",
            fix_reason="what is tried again, and which errors are worth it, is spread over the loop",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN802",
    triggers=(b"sleep",),
    detect=detect,
    bad=(
        Example(
            "exponential backoff",
            """
import asyncio

async def fetch(client, url):
    for attempt in range(5):
        try:
            return await client.get(url)
        except ConnectionError:
            await asyncio.sleep(2**attempt)
""",
        ),
        Example(
            "a function that calls itself again",
            """
import asyncio

class Client:
    async def fetch(self, url, attempt=0):
        try:
            return await self.session.get(url)
        except ConnectionError:
            if attempt > 5:
                raise
            await asyncio.sleep(2**attempt)
            return await self.fetch(url, attempt + 1)
""",
        ),
        Example(
            "a delay that is doubled",
            """
import time

def publish(client, event):
    delay = 1
    retries = 0
    while retries < 5:
        try:
            client.send(event)
            break
        except TimeoutError:
            retries += 1
            time.sleep(delay)
            delay = min(delay * 2, 30)
""",
        ),
        Example(
            "a helper computes it",
            """
import time

def delay_of(attempt):
    return min(0.5 * 2**attempt, 10)

def ask(model, prompt, max_attempts):
    for attempt in range(max_attempts):
        try:
            return model.complete(prompt)
        except Exception:
            if attempt == max_attempts - 1:
                raise
        time.sleep(delay_of(attempt))
""",
        ),
        Example(
            "an answer that tells to come again",
            """
import time
import requests

def get(url):
    for attempt in range(3):
        response = requests.get(url, timeout=5)
        if response.status_code >= 500:
            time.sleep(3)
            continue
        return response
""",
        ),
        Example(
            "a listener that connects again",
            """
import asyncio

async def listen(redis):
    delay = 1
    while True:
        try:
            async for message in redis.listen():
                delay = 1
                handle(message)
        except ConnectionError:
            pass
        await asyncio.sleep(delay)
        delay = min(delay * 2, 60)
""",
        ),
    ),
    good=(
        Example(
            "full jitter",
            """
import asyncio
import random

async def fetch(client, url):
    for attempt in range(5):
        try:
            return await client.get(url)
        except ConnectionError:
            await asyncio.sleep(random.uniform(0, 2**attempt))
""",
        ),
        Example(
            "jitter in a helper",
            """
import random
import time

class Client:
    def _delay(self, attempt):
        delay = min(2**attempt, 30)
        return delay * (1 + random.random())

    def fetch(self, url):
        for attempt in range(5):
            try:
                return self.get(url)
            except ConnectionError:
                delay = self._delay(attempt)
                time.sleep(delay)
""",
        ),
        Example(
            "polling",
            """
import time

def wait_until_ready(job):
    while True:
        try:
            if job.status() == "ready":
                return
        except ConnectionError:
            pass
        time.sleep(1)
""",
        ),
        Example(
            "a throttle",
            """
import time

def load_all(urls):
    for url in urls:
        try:
            load(url)
        except ConnectionError:
            time.sleep(1)
""",
        ),
        Example(
            "a local file",
            """
import time

def remove(path):
    for attempt in range(5):
        try:
            path.unlink()
            return
        except PermissionError:
            time.sleep(0.1 * 2**attempt)
""",
        ),
        Example(
            "a periodic task",
            """
import asyncio

async def refresh(cache):
    while True:
        try:
            await cache.reload()
        except Exception:
            log("failed")
        await asyncio.sleep(60)
""",
        ),
    ),
)
