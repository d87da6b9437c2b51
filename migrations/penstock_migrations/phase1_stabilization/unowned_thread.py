"""Finds threads that are started and then neither joined nor stopped by anything.

## What it does

Follows each `threading.Thread` and one-shot `threading.Timer` from where it is made: through names, attributes,
collections and functions of the module. It reports the call if nothing joins the thread, nothing tells its work to end
and nothing waits for its result.

It leaves alone what has an owner: a thread that is joined, here or in another method, alone or in a loop over the
collection that holds it; one whose loop looks at an event or a flag that `stop()` or `close()` sets, or takes from a
queue into which the end is put; one that runs a loop or a server which is stopped elsewhere; one whose event was handed
in; one that is returned or handed to another object; a timer that is cancelled. What is a daemon is no question of
ownership: a daemon that is joined is fine, and another thread that nobody joins is not.

## Why is this bad

A daemon thread dies at exit wherever it is: half a file is written, a transaction stays open, events in its buffer are
lost. A thread that is no daemon keeps the process from ending. Threads that each call starts add up until memory or
the operating system's limit ends it, their exceptions go to standard error where nobody looks, and tests that have
long passed still run.

## Example

```python
class Index:
    def save(self, documents):
        threading.Thread(target=self._write, args=(documents,), daemon=True).start()
```

## Use instead

```python
class Index:
    def save(self, documents):
        penstock_tasks.Thread(target=self._write, args=(documents,), daemon=True).start()
```

The program's exit owns the thread then. Better still is an owner that ends before the program does:

```python
class Index:
    def __init__(self):
        self._writer = None

    def save(self, documents):
        self._writer = threading.Thread(target=self._write, args=(documents,))
        self._writer.start()

    def close(self):
        if self._writer is not None:
            self._writer.join(timeout=10)
```

Where many calls start threads, a `concurrent.futures.ThreadPoolExecutor` that the object holds owns them, bounds their
number, and waits for them in `shutdown()`. Coroutines need no threads: an `asyncio.TaskGroup` waits for its tasks.

## Fix safety

`threading.Thread(...)` becomes `penstock_tasks.Thread(...)`, and a timer that fires once `penstock_tasks.Timer(...)`,
with the same arguments. With the capability `managed-threads` off they are the old classes. Enforced, the thread has
an owner: it is named and counted, and at exit a daemon is told to stop and joined up to a deadline, where it died in
the middle of its work before. A loop that waits on `penstock_tasks.stop_event()` ends at once; one that looks at
nothing makes the exit longer by the deadline, and is reported with its stack. A thread that is no daemon is waited
for as before, without a deadline. So the rewrite is safe: what the flag brings, the flag takes back.

It is left to review for a timer that is no daemon: today the process waits until it has fired, and enforced the exit
cancels it; and where another file compares types (`type(job) is Thread`). It is left alone, with the reason, where the
thread is there to end the process itself (`os._exit`), where it is made while the program ends or after a fork, where
the module itself compares types, where tests replace the name or its library (`mock.patch("jobs.Thread")`,
`mock.patch("jobs.threading")`), in Temporal workflows, and where the name may stand for something else.

A finding of low severity is advice: a thread that reads a pipe and ends with the process that writes it, one that
only warms something up or ends the process itself, a timer that fires once, one that a script starts once, and one
that a flag ends though nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._owning.replaced import leave_what_is_replaced
from penstock_migrations._owning.threads import thread_swap
from penstock_migrations._threads.messages import describe_thread, thread_severity
from penstock_migrations._threads.owners import Owners
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the threads that nothing joins or stops, and the timers that fire once."""
    found = module.analysis(Owners)
    for lost in (*found.threads, *(timer for timer in found.timers if not timer.work.rearms)):
        yield thread_swap(module, lost).defect(
            lost.call,
            thread_severity(lost),
            f"{describe_thread(lost)}; keep it and join it when its owner closes, or use penstock_tasks.{lost.kind}",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN301",
    triggers=(b"Thread(", b"Timer(", b"Thread as", b"Timer as"),
    detect=detect,
    settle=leave_what_is_replaced,
    bad=(
        Example(
            "started and forgotten",
            """
import threading

class Index:
    def save(self, documents):
        threading.Thread(target=self._write, args=(documents,), daemon=True).start()

    def _write(self, documents):
        self.store.write(documents)
""",
            """
import threading

import penstock_tasks

class Index:
    def save(self, documents):
        penstock_tasks.Thread(target=self._write, args=(documents,), daemon=True).start()

    def _write(self, documents):
        self.store.write(documents)
""",
        ),
        Example(
            "kept, never joined",
            """
from threading import Thread

class Monitor:
    def start(self):
        self._thread = Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while True:
            self.check()
""",
            """
from threading import Thread

import penstock_tasks

class Monitor:
    def start(self):
        self._thread = penstock_tasks.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while True:
            self.check()
""",
        ),
        Example(
            "an event loop that runs forever",
            """
import asyncio
import threading

def loop_in_background():
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop
""",
            """
import asyncio
import threading

import penstock_tasks

def loop_in_background():
    loop = asyncio.new_event_loop()
    penstock_tasks.Thread(target=loop.run_forever, daemon=True).start()
    return loop
""",
        ),
        Example(
            "an event loop of its own",
            """
import asyncio
import threading

def refresh_in_background(cache):
    threading.Thread(target=lambda: asyncio.run(cache.refresh()), daemon=True).start()
""",
            """
import asyncio
import threading

import penstock_tasks

def refresh_in_background(cache):
    penstock_tasks.Thread(target=lambda: asyncio.run(cache.refresh()), daemon=True).start()
""",
        ),
        Example(
            "a list of threads that nobody looks at again",
            """
import threading

def notify(users):
    threads = []
    for user in users:
        thread = threading.Thread(target=send, args=(user,))
        thread.start()
        threads.append(thread)
""",
            """
import threading

import penstock_tasks

def notify(users):
    threads = []
    for user in users:
        thread = penstock_tasks.Thread(target=send, args=(user,))
        thread.start()
        threads.append(thread)
""",
        ),
    ),
    good=(
        Example(
            "joined in another method",
            """
import threading

class Summarizer:
    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=5)
""",
        ),
        Example(
            "joined through a list",
            """
import threading

def fetch_all(urls):
    threads = [threading.Thread(target=fetch, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
        ),
        Example(
            "stopped by an event",
            """
import threading

class Heartbeat:
    def __init__(self):
        self._stop = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self):
        while not self._stop.wait(5):
            self.send()

    def close(self):
        self._stop.set()
""",
        ),
        Example(
            "stopped by what is put into its queue",
            """
import queue
import threading

class Writer:
    def __init__(self):
        self._rows = queue.Queue()
        threading.Thread(target=self._write, daemon=True).start()

    def _write(self):
        while (row := self._rows.get()) is not None:
            self.store.insert(row)

    def close(self):
        self._rows.put(None)
""",
        ),
        Example(
            "handed to its owner",
            """
import threading

def start_worker(job):
    thread = threading.Thread(target=job.run)
    thread.start()
    return thread
""",
        ),
        Example(
            "a server that is shut down",
            """
import threading

class Endpoint:
    def start(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
""",
        ),
        Example(
            "a class of one's own",
            """
from conversations import Thread

def reply(message):
    Thread(target=message.channel).start()
""",
        ),
    ),
)
