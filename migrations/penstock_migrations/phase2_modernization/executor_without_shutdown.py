"""Finds executors and pools of processes that nobody shuts down.

## What it does

Reports `ThreadPoolExecutor`, `ProcessPoolExecutor` and `multiprocessing.Pool` where a local name holds it to the end,
where it is made in the call that uses it (`loop.run_in_executor(ThreadPoolExecutor(), work)`), and where an object
holds it and the module shuts it down nowhere.

It leaves alone a `with` statement, a shutdown in a `finally` or in a method that ends the object, what is returned or
handed to another owner, and executors of the module or of a class, which live as long as the process.

## Why is this bad

Each object, or each call, leaves its threads behind, idle and never ending. Work still queued at the end delays the
exit of the interpreter, which joins every worker, and nobody learns of its errors.

## Example

```python
class Indexer:
    def __init__(self):
        self._executor = ThreadPoolExecutor(4)
```

## Use instead

```python
class Indexer:
    def __init__(self):
        self._executor = ThreadPoolExecutor(4)

    def close(self):
        self._executor.shutdown()
```

## Fix safety

Never rewritten: when the work is done is for a person to say.

A finding of low severity is advice: a shutdown that a failure skips, and what the only object of a class keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._lifetimes.lifetimes import Lifetimes
from penstock_migrations._lifetimes.messages import describe, reason
from penstock_migrations._lifetimes.resources import EXECUTORS
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the executors that nobody shuts down."""
    for leak in module.analysis(Lifetimes).leaks(EXECUTORS):
        yield Defect(
            node=leak.call,
            severity=leak.severity,
            message=f"{describe(leak)}; use a with statement, or shut it down where its owner ends",
            fix_reason=reason(leak),
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN605",
    triggers=(b"PoolExecutor", b"multiprocessing"),
    detect=detect,
    bad=(
        Example(
            "made on first use, for each object",
            """
from concurrent.futures import ThreadPoolExecutor

class Agent:
    _executor = None

    @property
    def executor(self):
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=3)
        return self._executor
""",
        ),
        Example(
            "made for one call",
            """
import asyncio
from concurrent.futures import ThreadPoolExecutor

async def parse(text):
    return await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(), slow_parse, text)
""",
        ),
        Example(
            "a local name",
            """
import concurrent.futures

def start(jobs):
    pool = concurrent.futures.ThreadPoolExecutor()
    return [pool.submit(job) for job in jobs]
""",
        ),
    ),
    good=(
        Example(
            "a with statement",
            """
from concurrent.futures import ThreadPoolExecutor

def run(jobs):
    with ThreadPoolExecutor() as pool:
        return list(pool.map(call, jobs))
""",
        ),
        Example(
            "a class that shuts it down",
            """
import atexit
from concurrent.futures import ThreadPoolExecutor

class Worker:
    def __init__(self):
        self._executor = ThreadPoolExecutor(1)
        self._others = ThreadPoolExecutor(1)
        atexit.register(self._others.shutdown)

    def stop(self):
        executor, self._executor = self._executor, None
        executor.shutdown(wait=False)
""",
        ),
        Example(
            "an executor of the module, and the loop's own",
            """
import asyncio
from concurrent.futures import ThreadPoolExecutor

EXECUTOR = ThreadPoolExecutor(8)

async def serve():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    await asyncio.get_running_loop().run_in_executor(EXECUTOR, work)
""",
        ),
    ),
)
