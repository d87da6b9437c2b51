"""Finds functions decorated by `@asyncio.coroutine`.

## What it does

Reports functions with the decorator `asyncio.coroutine`, under any name that it was imported by. `types.coroutine` is
another thing, and not deprecated.

## Why is this bad

Generator-based coroutines were deprecated in Python 3.8 and removed in 3.11: the module cannot even be imported.

## Example

```python
@asyncio.coroutine
def fetch(client, url):
    response = yield from client.get(url)
    return response
```

## Use instead

```python
async def fetch(client, url):
    response = await client.get(url)
    return response
```

## Fix safety

Not rewritten: `yield from` becomes `await` only where it waits for an awaitable, and a plain `yield` has no
counterpart.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import asyncio_name, is_for_old_python
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the decorators that make generators coroutines."""
    functions = [function for found in module.functions.values() for function in found]
    for function in functions:
        for decorator in function.decorator_list:
            if asyncio_name(module, decorator) == "coroutine" and not is_for_old_python(module, function):
                yield Defect(
                    node=decorator,
                    severity=Severity.HIGH,
                    message=f"@asyncio.coroutine does not exist since Python 3.11; make {function.name} an async def",
                    fix_reason="each `yield from` has to be looked at: await only waits for awaitables",
                )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN403",
    triggers=(b".coroutine", b"@coroutine"),
    detect=detect,
    bad=(
        Example(
            "a function",
            """
import asyncio

@asyncio.coroutine
def fetch(client, url):
    return (yield from client.get(url))
""",
        ),
        Example(
            "a method, the decorator imported by name",
            """
from asyncio import coroutine

class Client:
    @coroutine
    def close(self):
        yield from self.session.close()
""",
        ),
    ),
    good=(
        Example(
            "async def",
            """
async def fetch(client, url):
    return await client.get(url)
""",
        ),
        Example(
            "types.coroutine",
            """
import types

@types.coroutine
def switch():
    yield
""",
        ),
    ),
)
