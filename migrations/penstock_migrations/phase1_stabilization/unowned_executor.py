"""Finds executors that an object keeps and nothing shuts down.

## What it does

Reports a `ThreadPoolExecutor`, a `ProcessPoolExecutor` or a pool of `multiprocessing` that is kept in an attribute if
the module neither shuts it down nor enters it as a context: in `close()`, `__exit__`, `__del__`, a `finally`, a
function registered with `atexit`, through another name or through a collection of executors.

It leaves alone an executor that is handed in, returned or handed on to another owner, and one that there is for the
whole process: of the module, or of a class.

## Why is this bad

Each object brings threads or processes of its own that stay when the object is gone from use. A server that makes such
an object per request or per tenant runs out of threads. Work that is still queued at exit holds the process up, or is
lost, because nobody decided which.

## Example

```python
class Memory:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=2)
```

## Use instead

```python
class Memory:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=2)

    def close(self):
        self._executor.shutdown(wait=True, cancel_futures=True)
```

Or share one executor that is made once for the process and handed in.

## Fix safety

`ThreadPoolExecutor(...)` becomes `penstock_tasks.ThreadPoolExecutor(...)`, with the same arguments. With the
capability `managed-threads` off it is the old class; enforced, the exit owns it: it is counted, and shut down. Work
that is still queued then is cancelled, and what runs is waited for up to a deadline, where all of it ran to its end
before; so the rewrite is safe where the module waits, on every way through, for all that it submits to an attribute of
its own (`_executor`), and left to review elsewhere: after a timeout, or the first result that suffices, work is left.
So it is where one of several calls fails: what is queued behind it is cancelled at the exit when that is enforced. The
drop-in does not bound how many objects there are: a shared executor does.

Nothing is rewritten for processes, for which there is no drop-in, and where [unowned-thread](unowned-thread.md) would
leave a thread alone, too.

A finding of low severity is advice: the class is made into one object at import, which lives as long as the process.
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
    """Yield the executors that an object keeps and nothing shuts down."""
    for lost in module.analysis(Owners).executors:
        if lost.attribute is not None:
            yield executor_swap(module, lost).defect(
                lost.call,
                executor_severity(lost),
                f"{lost.name} is kept in `{lost.attribute}` and nothing shuts it down: each object leaves its "
                "workers behind; shut it down in close(), or share one executor",
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN303",
    triggers=(b"PoolExecutor", b"ThreadPool", b"multiprocessing"),
    detect=detect,
    settle=leave_what_is_replaced,
    bad=(
        Example(
            "made with the object",
            """
from concurrent.futures import ThreadPoolExecutor

class Memory:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=2)

    def save(self, item):
        return self._executor.submit(self._save, item)
""",
        ),
        Example(
            "all work is waited for",
            """
import asyncio
from concurrent.futures import ThreadPoolExecutor

class Parser:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=2)

    async def parse(self, page):
        return await asyncio.get_running_loop().run_in_executor(self._executor, parse_sync, page)
""",
            """
import asyncio
from concurrent.futures import ThreadPoolExecutor

import penstock_tasks

class Parser:
    def __init__(self):
        self._executor = penstock_tasks.ThreadPoolExecutor(max_workers=2)

    async def parse(self, page):
        return await asyncio.get_running_loop().run_in_executor(self._executor, parse_sync, page)
""",
        ),
        Example(
            "made when none is given",
            """
import concurrent.futures

class Runner:
    def __init__(self, executor=None):
        self.executor = executor or concurrent.futures.ProcessPoolExecutor()
""",
        ),
        Example(
            "made when it is first needed",
            """
from concurrent.futures import ThreadPoolExecutor

class Client:
    pool = None

    def call(self, request):
        if self.pool is None:
            self.pool = ThreadPoolExecutor(4)
        return self.pool.submit(self.send, request)
""",
        ),
    ),
    good=(
        Example(
            "shut down in close()",
            """
from concurrent.futures import ThreadPoolExecutor

class Memory:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=2)

    def close(self):
        self._executor.shutdown()
""",
        ),
        Example(
            "shut down at exit",
            """
import atexit
from concurrent.futures import ThreadPoolExecutor

class Memory:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=2)
        atexit.register(self._executor.shutdown, wait=False)
""",
        ),
        Example(
            "one for the process",
            """
from concurrent.futures import ThreadPoolExecutor

EXECUTOR = ThreadPoolExecutor(max_workers=8)

class Tool:
    executor = ThreadPoolExecutor(max_workers=8)
""",
        ),
        Example(
            "handed to its owner",
            """
from concurrent.futures import ThreadPoolExecutor

def make_server(handler):
    return Server(handler, ThreadPoolExecutor(max_workers=8))
""",
        ),
    ),
)
