"""Finds `asyncio.ensure_future(coroutine())`, where `asyncio.create_task` is meant.

## What it does

Reports calls of `asyncio.ensure_future` whose argument is a call that returns a coroutine: of a coroutine function of
the module, or of another function that nothing speaks against.

It leaves alone arguments that may be futures or other awaitables: names and parameters, calls of `gather`, `shield`,
`run_in_executor`, `anext` or of a class, of plain functions of the module and of what is annotated to return an
`Awaitable`. For these `ensure_future` is right: `create_task` takes coroutines only.

## Why is this bad

`ensure_future` says "whatever this is, make it a future". Without a running loop it falls back to the deprecated
`get_event_loop`, so a call from the wrong thread or too early schedules work on a loop that never runs, or fails from
Python 3.14 on. `create_task` refuses at once, names its task, and takes a context.

## Example

```python
async def start(self):
    self.task = asyncio.ensure_future(self.poll())
```

## Use instead

```python
async def start(self):
    self.task = asyncio.create_task(self.poll())
```

## Fix safety

Not rewritten: a function of another module may return a future, and without a running loop `create_task` raises. Keep a
reference to the task, or it may be collected while it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import asyncio_calls, asyncio_name, makes_coroutine
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls of `ensure_future` that are given a coroutine."""
    for call in asyncio_calls(module, "ensure_future"):
        loop = next((one.value for one in call.keywords if one.arg == "loop"), None)
        if call.args and makes_coroutine(module, call.args[0]) and not _is_asked_for(module, loop):
            instead = "asyncio.create_task" if loop is None else f"{ast.unparse(loop)}.create_task"
            yield Defect(
                node=call,
                severity=Severity.MEDIUM,
                message=f"asyncio.ensure_future of a coroutine; use {instead}, and keep the task",
                fix_reason="create_task takes coroutines only and needs a running loop",
            )


def _is_asked_for(module: Module, loop: ast.expr | None) -> bool:
    """Say whether the loop is `get_event_loop()` in place: that is PEN401's."""
    return isinstance(loop, ast.Call) and asyncio_name(module, loop.func) == "get_event_loop"


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN404",
    triggers=(b"ensure_future",),
    detect=detect,
    bad=(
        Example(
            "a method",
            """
import asyncio

class Poller:
    async def start(self):
        self.task = asyncio.ensure_future(self.poll())
""",
        ),
        Example(
            "a coroutine of asyncio",
            """
import asyncio

async def read(path):
    return await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(path.read_text)))
""",
        ),
        Example(
            "a coroutine that has a name",
            """
from asyncio import ensure_future

async def work(item):
    await item.process()

async def start(item):
    coroutine = work(item)
    return ensure_future(coroutine)
""",
        ),
    ),
    good=(
        Example(
            "a task",
            """
import asyncio

async def start(poll):
    return asyncio.create_task(poll())
""",
        ),
        Example(
            "an awaitable of any kind",
            """
import asyncio

async def settle(first, make: Callable[[], Awaitable[int]]):
    return await asyncio.wait({asyncio.ensure_future(first), asyncio.ensure_future(make())})
""",
        ),
        Example(
            "a future, and a step of an asynchronous generator",
            """
import asyncio

async def race(loop, stream, read):
    step = asyncio.ensure_future(anext(stream))
    return step, asyncio.ensure_future(loop.run_in_executor(None, read))
""",
        ),
    ),
)
