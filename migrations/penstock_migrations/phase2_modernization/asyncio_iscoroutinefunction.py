"""Finds `asyncio.iscoroutinefunction`, which `inspect.iscoroutinefunction` replaces.

## What it does

Reports calls of `asyncio.iscoroutinefunction`, under any name that it was imported by. `inspect.iscoroutinefunction`,
`asyncio.iscoroutine` and branches for older Pythons are left alone.

## Why is this bad

It is deprecated since Python 3.14 and goes in 3.16. Its one advantage was `@asyncio.coroutine`, which is gone; what
only looks like a coroutine function is marked by `inspect.markcoroutinefunction` since 3.12.

## Example

```python
if asyncio.iscoroutinefunction(handler):
    await handler(event)
```

## Use instead

```python
if inspect.iscoroutinefunction(handler):
    await handler(event)
```

## Fix safety

Not rewritten: below Python 3.12 the two differ for functions marked by hand (`_is_coroutine`) and for some mocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import asyncio_calls
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls of `asyncio.iscoroutinefunction`."""
    for call in asyncio_calls(module, "iscoroutinefunction"):
        yield Defect(
            node=call,
            severity=Severity.MEDIUM,
            message="asyncio.iscoroutinefunction is deprecated since Python 3.14; use inspect.iscoroutinefunction",
            fix_reason="below Python 3.12 the two differ for functions that are marked as coroutine functions by hand",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN407",
    triggers=(b"iscoroutinefunction",),
    detect=detect,
    bad=(
        Example(
            "a test",
            """
import asyncio

async def call(handler, event):
    return await handler(event) if asyncio.iscoroutinefunction(handler) else handler(event)
""",
        ),
        Example(
            "imported under another name",
            """
from asyncio import iscoroutinefunction as is_async

def kind(handler):
    return "async" if is_async(handler) else "sync"
""",
        ),
    ),
    good=(
        Example(
            "of inspect",
            """
import inspect

def kind(handler):
    return "async" if inspect.iscoroutinefunction(handler) else "sync"
""",
        ),
        Example(
            "only on older Pythons",
            """
import asyncio
import inspect
import sys

def is_async(handler):
    if sys.version_info < (3, 12):
        return asyncio.iscoroutinefunction(handler)
    return inspect.iscoroutinefunction(handler)
""",
        ),
    ),
)
