"""Finds `time.sleep` that blocks the event loop: in a coroutine, or in what it calls, in any audited file.

## What it does

Reports `time.sleep` in coroutines, and the call of a coroutine that leads to one through synchronous functions of any
audited file; then the message shows the way. `time.sleep(0)` is left alone, and so are synchronous programs, what runs
in a thread, and a helper that is told not to wait (`blocking=False`).

## Why is this bad

`time.sleep` stops the whole event loop, not only the coroutine: a retry that waits ten seconds stops every other
request for ten seconds.

## Example

```python
async def wait_until_ready(job):
    while not job.done():
        time.sleep(1)
```

## Use instead

```python
async def wait_until_ready(job):
    while not job.done():
        await asyncio.sleep(1)
```

## Fix safety

It is reported, not rewritten: where the coroutine now lets others run, they may change what it relies on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._blocking.coroutines import in_coroutines
from penstock_migrations._blocking.sites import blocking_sites
from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity, Site

__all__ = ["RULE", "detect"]

_CODE = "PEN502"
_KINDS = ("sleep",)
_ADVICE = "await asyncio.sleep instead"
_REASON = "others may run meanwhile once it is awaited: check what the coroutine relies on, then await asyncio.sleep"


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the sleeps in coroutines' own code."""
    for found in in_coroutines(module, options, _KINDS):
        yield Defect(
            node=found.node,
            severity=Severity.MEDIUM if found.is_short else Severity.HIGH,
            message=f"time.sleep stops the whole event loop; {_ADVICE}",
            fix_reason=_REASON,
        )


def survey(project: Project, _options: Options) -> Iterator[tuple[Path, Site]]:
    """Yield the calls in coroutines that come to a sleep through synchronous functions."""
    return blocking_sites(project, _CODE, _KINDS, _ADVICE, _REASON)


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code=_CODE,
    triggers=(b"async def",),
    detect=detect,
    survey=survey,
    bad=(
        Example(
            "in the coroutine itself",
            """
import time

async def retry(work):
    while not await work():
        time.sleep(2)
""",
        ),
        Example(
            "in a helper, and imported by its name",
            """
from time import sleep

class Client:
    def back_off(self, attempt):
        sleep(2**attempt)

    async def call(self, work):
        for attempt in range(3):
            if await work():
                return
            self.back_off(attempt)
""",
        ),
        Example(
            "in a lambda that is called there",
            """
import time

async def run():
    pause = lambda: time.sleep(1)
    pause()
""",
        ),
    ),
    good=(
        Example(
            "a wait for the process's own end",
            """
import os
import signal
import time

async def stop_for_good():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)
""",
        ),
        Example(
            "the coroutine alone pauses",
            """
import asyncio

async def retry(work):
    while not await work():
        await asyncio.sleep(2)
""",
        ),
        Example(
            "a helper that is told not to wait",
            """
import time

def acquire(lock, blocking=True):
    while not lock.try_acquire():
        if not blocking:
            raise BlockingIOError
        time.sleep(0.1)

async def run(lock):
    acquire(lock, blocking=False)
""",
        ),
        Example(
            "a thread's own loop",
            """
import threading
import time

def watch(files):
    while True:
        time.sleep(1)

async def start(files):
    threading.Thread(target=watch, args=(files,), daemon=True).start()
""",
        ),
        Example(
            "a function that runs in a thread",
            """
import asyncio
import time

async def run(device):
    def poll():
        time.sleep(1)
        return device.state

    return await asyncio.to_thread(poll)
""",
        ),
    ),
)
