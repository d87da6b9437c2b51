"""Finds executors that a call makes for itself and never shuts down.

## What it does

Reports a `ThreadPoolExecutor`, a `ProcessPoolExecutor` or a pool of `multiprocessing` that is made in a function, used
there and left, with neither `with` nor `shutdown()`; also one that is made in the arguments of `run_in_executor`.

It leaves alone an executor that is entered by `with` or an `ExitStack`, shut down in the function, returned, yielded or
handed to another owner.

## Why is this bad

Every call starts threads or processes anew, which costs more than most of what they do, and leaves them to the garbage
collector. The pool's limit limits nothing: a hundred concurrent calls are a hundred pools. At exit the interpreter
waits for all that is still queued in any of them.

## Example

```python
async def parse(page):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(ThreadPoolExecutor(), parse_sync, page)
```

## Use instead

```python
EXECUTOR = ThreadPoolExecutor(max_workers=8)

async def parse(page):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(EXECUTOR, parse_sync, page)
```

One executor made once bounds all calls together. Where the work must end with the call, use `with`.

## Fix safety

`ThreadPoolExecutor(...)` becomes `penstock_tasks.ThreadPoolExecutor(...)`, with the same arguments. With the
capability `managed-threads` off it is the old class; enforced, the exit owns it: it is counted, and shut down. Work
that is still queued then is cancelled, and what runs is waited for up to a deadline, where all of it ran to its end
before; so the rewrite is safe where the call waits, on every way through, for all that it submits, and left to review
elsewhere: after a timeout, or the first result that suffices, work is left. So it is where one of several calls fails:
what is queued behind it is cancelled at the exit when that is enforced. The drop-in gives each executor an end, and
does not make one of them for all calls: where the threads add up, share one executor, or use `with`.

Nothing is rewritten for processes, for which there is no drop-in, and where [unowned-thread](unowned-thread.md) would
leave a thread alone, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._owning.executors import executor_swap
from penstock_migrations._owning.replaced import leave_what_is_replaced
from penstock_migrations._threads.messages import executor_severity
from penstock_migrations._threads.owners import Owners
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the executors that a call makes for itself and leaves."""
    for lost in module.analysis(Owners).executors:
        if lost.attribute is None:
            yield executor_swap(module, lost).defect(
                lost.call,
                executor_severity(lost),
                f"{lost.name} is made anew in each call and never shut down; "
                "make one executor once and share it, or use `with`",
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN304",
    triggers=(b"PoolExecutor", b"ThreadPool", b"multiprocessing"),
    detect=detect,
    settle=leave_what_is_replaced,
    bad=(
        Example(
            "made in the arguments",
            """
import asyncio
from concurrent.futures import ThreadPoolExecutor

async def parse(page):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(ThreadPoolExecutor(), parse_sync, page)
""",
            """
import asyncio
from concurrent.futures import ThreadPoolExecutor

import penstock_tasks

async def parse(page):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(penstock_tasks.ThreadPoolExecutor(), parse_sync, page)
""",
        ),
        Example(
            "a local name",
            """
from concurrent.futures import ThreadPoolExecutor

def save_all(items):
    executor = ThreadPoolExecutor(max_workers=4)
    return [executor.submit(save, item) for item in items]
""",
        ),
        Example(
            "used on the spot",
            """
import concurrent.futures

def notify(user):
    concurrent.futures.ThreadPoolExecutor(1).submit(send, user)
""",
        ),
    ),
    good=(
        Example(
            "a with statement",
            """
from concurrent.futures import ThreadPoolExecutor

def save_all(items):
    with ThreadPoolExecutor(max_workers=4) as executor:
        return list(executor.map(save, items))
""",
        ),
        Example(
            "shut down in a finally block",
            """
from concurrent.futures import ThreadPoolExecutor

def save_all(items):
    executor = ThreadPoolExecutor(max_workers=4)
    try:
        return list(executor.map(save, items))
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
""",
        ),
        Example(
            "entered later",
            """
import contextlib
from concurrent.futures import ThreadPoolExecutor

def save_all(items, parallel):
    pool = ThreadPoolExecutor() if parallel else contextlib.nullcontext()
    with pool as executor:
        return run(executor, items)
""",
        ),
        Example(
            "returned to whoever asked",
            """
from concurrent.futures import ThreadPoolExecutor

def make_executor(size):
    executor = ThreadPoolExecutor(max_workers=size)
    return executor
""",
        ),
    ),
)
