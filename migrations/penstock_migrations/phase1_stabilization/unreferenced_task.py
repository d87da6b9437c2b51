"""Finds tasks that are created and that nothing refers to.

## What it does

Reports `asyncio.create_task`, `asyncio.ensure_future` and `loop.create_task` where the task is thrown away: the call
stands alone, is bound to `_`, is all that a callback's lambda does (`loop.call_later(5, lambda:
asyncio.create_task(f()))`), or is bound to a name that is never read in a function that ends without waiting. Adding
a callback to the task is no reading: the task refers to the callback, not the callback to the task.

It leaves alone a task that is awaited, returned, kept in a name, an attribute or a collection, and
`TaskGroup.create_task`, whose group keeps it.

## Why is this bad

The event loop keeps only weak references to tasks. A task that nothing else refers to may be collected while it waits:
it vanishes in the middle, without an error. If it does run and fails, nobody sees the exception, and when the
application stops, nobody waits for it.

## Example

```python
async def record(event):
    asyncio.create_task(store.save(event))
```

## Use instead

```python
async def record(event):
    penstock_tasks.create_task(store.save(event))
```

That task has an owner, which keeps it and tells of its failure. By hand it is:

```python
async def record(event):
    task = asyncio.create_task(store.save(event))
    running.add(task)
    task.add_done_callback(running.discard)
```

`running` is a set that the program keeps. Where the tasks are to end with a block of code, an `asyncio.TaskGroup` keeps
them, waits for them and passes their errors on.

## Fix safety

`asyncio.create_task(...)` becomes `penstock_tasks.create_task(...)`, with the same arguments. With the capability
`managed-threads` off it is the old call; enforced, the task is kept until it is done, its failure is reported with
the place that created it, and it is ended when the loop ends. The rewrite is safe.

Nothing is rewritten where a loop's method or `ensure_future` makes the task: the loop may be another one, and what is
given a future already. A task that a loop of data makes is unbounded as well (PEN102), which comes first. What tests
replace, and what may stand for something else, is left alone.

A finding of low severity is advice: a name that is never read keeps the task as long as its function runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._lifetimes.tasks import unreferenced
from penstock_migrations._owning.replaced import leave_what_is_replaced
from penstock_migrations._owning.tasks import task_swap
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls that create a task and throw it away."""
    for call, name, severity in unreferenced(module):
        yield task_swap(module, call).defect(
            call,
            severity,
            f"nothing refers to the task of {name}: it may be collected while it runs, and its errors are lost;"
            " keep it until it is done, or use penstock_tasks.create_task",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN603",
    triggers=(b"create_task", b"ensure_future"),
    detect=detect,
    settle=leave_what_is_replaced,
    bad=(
        Example(
            "a statement",
            """
import asyncio

async def record(event):
    asyncio.create_task(store.save(event))
""",
            """
import asyncio

import penstock_tasks

async def record(event):
    penstock_tasks.create_task(store.save(event))
""",
        ),
        Example(
            "a loop's method",
            """
import asyncio

class Client:
    def __del__(self):
        asyncio.get_running_loop().create_task(self.client.close())
""",
        ),
        Example(
            "a name that only adds a callback",
            """
import asyncio

def record(event):
    task = asyncio.create_task(store.save(event))
    task.add_done_callback(log_failure)
""",
            """
import asyncio

import penstock_tasks

def record(event):
    task = penstock_tasks.create_task(store.save(event))
    task.add_done_callback(log_failure)
""",
        ),
        Example(
            "a callback",
            """
import asyncio
import signal

def install(loop, server):
    loop.add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(server.stop()))
""",
        ),
    ),
    good=(
        Example(
            "kept until it is done",
            """
import asyncio

running = set()

async def record(event):
    task = asyncio.create_task(store.save(event))
    running.add(task)
    task.add_done_callback(running.discard)
""",
        ),
        Example(
            "a task group",
            """
import asyncio

async def record_all(events):
    async with asyncio.TaskGroup() as group:
        for event in events:
            group.create_task(store.save(event))
""",
        ),
        Example(
            "awaited, returned, collected",
            """
import asyncio

async def run(jobs):
    await asyncio.create_task(prepare())
    tasks = [asyncio.create_task(job()) for job in jobs]
    await asyncio.wait(tasks)
    return asyncio.create_task(finish())
""",
        ),
    ),
)
