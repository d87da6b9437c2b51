"""Finds `loop=` arguments of asyncio's functions and classes that take none since Python 3.10.

## What it does

Reports calls of `asyncio.sleep`, `wait`, `wait_for`, `gather`, `shield`, `as_completed`, of locks, events, conditions,
semaphores and queues, of `open_connection`, `start_server` and of the subprocess functions that are given `loop=`.

It leaves alone what still takes one: `asyncio.run_coroutine_threadsafe`, `ensure_future`, `wrap_future`, `Task`,
`Future`, `StreamReader`; the `loop=` of other libraries; and branches for older Pythons.

## Why is this bad

The argument was removed in Python 3.10: the call is a `TypeError`, often only on a path that nobody tested. Before, it
let an object belong to another loop than the one that ran.

## Example

```python
async def main(loop):
    queue = asyncio.Queue(loop=loop)
    await asyncio.sleep(1, loop=loop)
```

## Use instead

```python
async def main():
    queue = asyncio.Queue()
    await asyncio.sleep(1)
```

## Fix safety

Not rewritten: dropping the argument is right where the code runs on the loop that was handed over. Where it does not,
the call belongs to the other loop: `asyncio.run_coroutine_threadsafe`.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import (
    LOOPLESS,
    asyncio_calls,
    asyncio_name,
    removed_loop,
)
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls of asyncio that are given a loop and take none."""
    for call in asyncio_calls(module, *sorted(LOOPLESS)):
        if removed_loop(module, call) is not None:
            yield Defect(
                node=call,
                severity=Severity.HIGH,
                message=f"asyncio.{asyncio_name(module, call.func)} takes no loop= since 3.10 (TypeError); drop it",
                fix_reason="drop the argument if this runs on that loop; else use asyncio.run_coroutine_threadsafe",
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN402",
    triggers=(b"loop=", b"loop ="),
    detect=detect,
    bad=(
        Example(
            "a pause",
            """
import asyncio

async def pause(loop):
    await asyncio.sleep(1, loop=loop)
""",
        ),
        Example(
            "a queue, and the loop asked for in place: one defect",
            """
import asyncio

class Channel:
    def __init__(self):
        self.queue = asyncio.Queue(loop=asyncio.get_event_loop())
""",
        ),
        Example(
            "a lock imported by name",
            """
from asyncio import Lock

def make_lock(loop):
    return Lock(loop=loop)
""",
        ),
    ),
    good=(
        Example(
            "a coroutine for another thread's loop",
            """
import asyncio

def publish(event, loop):
    return asyncio.run_coroutine_threadsafe(handle(event), loop=loop)
""",
        ),
        Example(
            "another library's argument",
            """
import server

def serve(app):
    server.run(app, loop="none")
""",
        ),
    ),
)
