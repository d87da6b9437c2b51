"""Finds `threading.Timer` chains that start their next timer themselves and that nothing cancels.

## What it does

Reports a `threading.Timer` whose function makes the next one, directly or through functions of the module, if no timer
of the chain is cancelled or joined and no event or flag that is set elsewhere ends the chain.

## Why is this bad

A chain of timers is a background job that nobody owns: each turn is a new thread, so there is no thread to join; an
exception in one turn ends the job silently; and a process that wants to exit waits for the next turn, or, if the timers
are daemons, kills it in the middle.

## Example

```python
def report():
    send(statistics())
    threading.Timer(60, report).start()
```

## Use instead

```python
class Reporter:
    def __init__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(60):
            send(statistics())

    def close(self):
        self._stop.set()
        self._thread.join()
```

One thread that waits on an event runs the job for as long as its owner wants, and ends at once when it is told to.

## Fix safety

`threading.Timer(...)` becomes `penstock_tasks.Timer(...)`, with the same arguments. With the capability
`managed-threads` off it is the old class; enforced, the exit cancels the chain. For timers that are daemons the
rewrite is safe: they end with the process before and after. A chain that is no daemon keeps the process alive until
somebody ends it, which may be all that the program lives on, so it is left to review. What is left alone, and why, is
as with [unowned-thread](unowned-thread.md).

The drop-in ends the chain and does not mend it: each turn is still a new thread, and an exception still ends the job.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._owning.replaced import leave_what_is_replaced
from penstock_migrations._owning.threads import thread_swap
from penstock_migrations._threads.owners import Owners, Stop
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the timers that start the next one and that nothing cancels."""
    for timer in module.analysis(Owners).timers:
        if timer.work.rearms:
            yield thread_swap(module, timer).defect(
                timer.call,
                Severity.LOW if timer.stop is Stop.FLAG else Severity.MEDIUM,
                f"threading.Timer starts itself again through `{timer.work.name}`, and nothing cancels it; "
                "use one threading.Thread that waits on a stop event, or cancel the timer in close()",
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN302",
    triggers=(b"Timer(", b"Timer as"),
    detect=detect,
    settle=leave_what_is_replaced,
    bad=(
        Example(
            "a function that starts itself again",
            """
import threading

def report():
    send(statistics())
    threading.Timer(60, report).start()
""",
        ),
        Example(
            "a method that keeps its timer, which nobody cancels",
            """
from threading import Timer

class Cache:
    def _expire(self):
        self.drop_old()
        self._schedule()

    def _schedule(self):
        self._timer = Timer(30, self._expire)
        self._timer.daemon = True
        self._timer.start()
""",
            """
from threading import Timer

import penstock_tasks

class Cache:
    def _expire(self):
        self.drop_old()
        self._schedule()

    def _schedule(self):
        self._timer = penstock_tasks.Timer(30, self._expire)
        self._timer.daemon = True
        self._timer.start()
""",
        ),
    ),
    good=(
        Example(
            "cancelled by its owner",
            """
import threading

class Limiter:
    def _reset(self):
        self.count = 0
        self._timer = threading.Timer(60, self._reset)
        self._timer.start()

    def close(self):
        if self._timer:
            self._timer.cancel()
""",
        ),
        Example(
            "ended by a flag that close() sets",
            """
import threading

class Refresher:
    def _refresh(self):
        if self.closed:
            return
        self.load()
        threading.Timer(60, self._refresh).start()

    def close(self):
        self.closed = True
""",
        ),
    ),
)
