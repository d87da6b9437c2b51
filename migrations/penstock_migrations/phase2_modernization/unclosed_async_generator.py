"""Finds async generators that a loop leaves before their end and nobody closes.

## What it does

Looks at async generators of the same module that hold something while their consumer works: a `with` or a `try` with a
`finally` around the `yield`. It reports the call of one if an `async for` over it leaves by `break` or `return`, and
the generator is not closed.

It leaves alone generators that hold nothing, loops that go to the end, and `contextlib.aclosing`.

## Why is this bad

Unlike a `for` over a plain generator, leaving an `async for` closes nothing. The generator's `finally` and its `with`
run when the garbage collector finds it, in a task of the event loop's own, at any later time: the connection stays
borrowed, the lock held, the span open, and context variables are reset in the wrong context.

## Example

```python
async def first(query):
    async for row in rows(query):
        return row
```

## Use instead

```python
async def first(query):
    async with contextlib.aclosing(rows(query)) as found:
        async for row in found:
            return row
```

## Fix safety

Never rewritten: errors of the generator's clean-up would reach the consumer, which a person should look at.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._lifetimes.generators import abandoned
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls of async generators that are left before their end."""
    for call, name in abandoned(module):
        yield Defect(
            node=call,
            severity=Severity.MEDIUM,
            message=f"{name} holds something while it yields, and the loop leaves it open; use contextlib.aclosing",
            fix_reason="Errors of the generator's clean-up would reach the consumer: a person should look at that.",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN606",
    triggers=(b"async for ",),
    detect=detect,
    bad=(
        Example(
            "the first of many",
            """
async def rows(query):
    async with pool.acquire() as connection:
        async for row in connection.cursor(query):
            yield row

async def first(query):
    async for row in rows(query):
        return row
""",
        ),
        Example(
            "a break",
            """
class Feed:
    async def events(self):
        await self.subscribe()
        try:
            while True:
                yield await self.queue.get()
        finally:
            await self.unsubscribe()

    async def wait(self, kind):
        found = self.events()
        async for event in found:
            if event.kind == kind:
                break
        return event
""",
        ),
    ),
    good=(
        Example(
            "closed",
            """
import contextlib

async def rows(query):
    async with pool.acquire() as connection:
        async for row in connection.cursor(query):
            yield row

async def first(query):
    async with contextlib.aclosing(rows(query)) as found:
        async for row in found:
            return row
""",
        ),
        Example(
            "to the end, and a generator that holds nothing",
            """
async def rows(query):
    async with pool.acquire() as connection:
        yield await connection.fetch(query)

async def pages(url):
    while url:
        page = await fetch(url)
        yield page
        url = page.next

async def all_rows(query):
    return [row async for row in rows(query)]

async def first(url):
    async for page in pages(url):
        return page
""",
        ),
    ),
)
