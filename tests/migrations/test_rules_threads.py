"""Threads, timers and executors: who has an owner and who has not, in the shapes that real code has."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings

HEAD = """
import asyncio, atexit, contextlib, functools, threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import Thread, Timer

"""


def findings(folder: Path, source: str) -> list[str]:
    """Audit a source for issue 3, and say the codes with their severities."""
    (folder / "shape.py").write_text(HEAD + source, encoding="utf-8")
    return [f"{one.code} {one.severity}" for one in audit([folder], Settings(select=("3",))).findings]


LOST = {
    "a thread on the spot": ("def f():\n    Thread(target=g).start()", "PEN301 medium"),
    "daemon set on its own line": (
        "def f():\n    t = Thread(target=g)\n    t.daemon = True\n    t.start()",
        "PEN301 medium",
    ),
    "another class joins its own thread of that name": (
        (
            "class A:\n    def start(self):\n        self.t = Thread(target=g)\n"
            "class B:\n    def start(self):\n        self.t = 1\n    def stop(self):\n        self.t.join()"
        ),
        "PEN301 medium",
    ),
    "a string is joined": ("def f(names):\n    Thread(target=g).start()\n    return ', '.join(names)", "PEN301 medium"),
    "an event that only the thread sets": (
        (
            "class A:\n    def start(self):\n        Thread(target=self._run).start()\n"
            "    def _run(self):\n        while not self.stop.is_set():\n            self.stop.set()"
        ),
        "PEN301 medium",
    ),
    "a flag that is only made false before the start": (
        (
            "class A:\n    def __init__(self):\n        self.stop = False\n        Thread(target=self._run).start()\n"
            "    def _run(self):\n        while not self.stop:\n            self.poll()"
        ),
        "PEN301 medium",
    ),
    "a loop kept in a global": (
        (
            "loop = None\ndef f():\n    global loop\n    loop = asyncio.new_event_loop()\n"
            "    t = Thread(target=loop.run_forever)\n    t.start()"
        ),
        "PEN301 medium",
    ),
    "a flag flipped in passing": (
        (
            "class A:\n    def start(self):\n        Thread(target=self._run).start()\n"
            "    def _run(self):\n        while self.wanted:\n            self.poll()\n"
            "    def configure(self):\n        self.wanted = False"
        ),
        "PEN301 low",
    ),
    "a finalizer that the thread itself keeps from being called": (
        (
            "class A:\n    def start(self):\n        Thread(target=self._run).start()\n"
            "    def _run(self):\n        while self.wanted:\n            self.poll()\n"
            "    def __del__(self):\n        self.wanted = False"
        ),
        "PEN301 low",
    ),
    "a reader of a pipe": (
        (
            "def f(process, lines):\n    def read():\n        for line in process.stdout:\n"
            "            lines.append(line)\n"
            "    Thread(target=read).start()"
        ),
        "PEN301 low",
    ),
    "a reader that is handed its pipe": ("def f(p):\n    Thread(target=g, args=(p.stderr,)).start()", "PEN301 low"),
    "imports ahead of time": (
        "def load():\n    import json\n    import ssl\ndef f():\n    Thread(target=load).start()",
        "PEN301 low",
    ),
    "a watchdog of the process": (
        (
            "import os\ndef f():\n    def watch():\n        while True:\n            os.kill(os.getpid(), 15)\n"
            "    Thread(target=watch).start()"
        ),
        "PEN301 low",
    ),
    "a script's one thread": ("Thread(target=g).start()", "PEN301 low"),
    "a timer that fires once": ("def f():\n    Timer(1, g).start()", "PEN301 low"),
    "a producer whose generator may be abandoned": (
        (
            "def f(q):\n    def produce():\n        q.put(1)\n    Thread(target=produce).start()\n    while True:\n"
            "        yield q.get()"
        ),
        "PEN301 medium",
    ),
    "a timer chain through a lambda": (
        "class A:\n    def tick(self):\n        Timer(1, lambda: self.tick()).start()",
        "PEN302 medium",
    ),
    "an executor in a lazy attribute": (
        (
            "class A:\n    def pool(self):\n        if not self._pool:\n            self._pool = ThreadPoolExecutor()\n"
            "        self._pool.submit(g)"
        ),
        "PEN303 medium",
    ),
    "an executor of the only object": (
        "class A:\n    def __init__(self):\n        self.pool = ThreadPoolExecutor()\na = A()",
        "PEN303 low",
    ),
    "executors by name": (
        "class A:\n    def pool(self, name):\n        self.pools[name] = ThreadPoolExecutor()",
        "PEN303 medium",
    ),
    "an executor to run one thing": (
        "async def f(loop):\n    await loop.run_in_executor(ProcessPoolExecutor(), g)",
        "PEN304 medium",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_finds(tmp_path, name):
    """The shape is one finding, as severe as it says."""
    source, expected = LOST[name]

    assert findings(tmp_path, source) == [expected]


OWNED = {
    "joined in a comprehension": "def f(xs):\n    ts = [Thread(target=g) for x in xs]\n    [t.join() for t in ts]",
    "joined from a dict": (
        "class A:\n    def start(self, k):\n        self.ts[k] = Thread(target=g)\n"
        "    def stop(self):\n        for k, t in list(self.ts.items()):\n            t.join(1)"
    ),
    "joined from a set of the module": (
        "ts = set()\ndef f():\n    t = Thread(target=g)\n    ts.add(t)\n    t.start()\n"
        "def wait():\n    for t in list(ts):\n        t.join()"
    ),
    "joined by a helper": (
        "class A:\n    def start(self):\n        self.t = Thread(target=g)\n    def _end(self, thread):\n"
        "        thread.join()\n    def stop(self):\n        self._end(self.t)"
    ),
    "joined by a base class": (
        "class Base:\n    def close(self):\n        self.t.join()\nclass A(Base):\n    def start(self):\n"
        "        self.t = Thread(target=g)"
    ),
    "joined through getattr": (
        "class A:\n    def start(self):\n        self.t = Thread(target=g)\n"
        "    def stop(self):\n        t = getattr(self, 't', None)\n        t and t.join()"
    ),
    "joined by another object": (
        "def f(lm):\n    t = Thread(target=g)\n    lm.thread = t\ndef kill(lm):\n    lm.thread.join()"
    ),
    "handed to join at exit": "def f():\n    t = Thread(target=g)\n    atexit.register(t.join)",
    "collected and returned": (
        "def f(xs):\n    ts = []\n    for x in xs:\n        ts.append(Thread(target=g))\n    return ts"
    ),
    "registered elsewhere": "def f(registry):\n    t = Thread(target=g)\n    registry.register(t)",
    "an event of its own function": (
        "def f():\n    stop = threading.Event()\n    def run():\n        while not stop.is_set():\n            g()\n"
        "    Thread(target=run).start()\n    try:\n        h()\n    finally:\n        stop.set()"
    ),
    "an event handed over": (
        "def run(done):\n    while not done.wait(1):\n        g()\n"
        "def f():\n    stop = threading.Event()\n    Thread(target=run, args=(stop,)).start()\n    h()\n    stop.set()"
    ),
    "an event from outside": (
        "def f(stop):\n    def run():\n        while not stop.is_set():\n            g()\n"
        "    Thread(target=run).start()"
    ),
    "a question from outside": (
        "def watch(stop):\n    while True:\n        if stop():\n            break\n        g()\n"
        "def f(stop):\n    Thread(target=watch, kwargs={'stop': stop}).start()"
    ),
    "a sentinel": (
        "class A:\n    def start(self):\n        Thread(target=self._run).start()\n"
        "    def _run(self):\n        for item in iter(self.q.get, STOP):\n            g(item)\n"
        "    def close(self):\n        self.q.put(STOP)"
    ),
    "a loop that is stopped": (
        "class A:\n    def start(self):\n        self.loop = asyncio.new_event_loop()\n"
        "        Thread(target=self._run).start()\n    def _run(self):\n        self.loop.run_forever()\n"
        "    def close(self):\n        self.loop.call_soon_threadsafe(self.loop.stop)"
    ),
    "a server told to exit": (
        "class A:\n    def start(self):\n        Thread(target=self.server.run).start()\n"
        "    def stop(self):\n        self.server.should_exit = True"
    ),
    "its event is waited for": (
        "done = threading.Event()\ndef run():\n    try:\n        g()\n    finally:\n        done.set()\n"
        "def f():\n    Thread(target=run).start()\ndef finish():\n    done.wait(1)"
    ),
    "its result is waited for": (
        "def f(future):\n    def run():\n        future.set_result(g())\n    Thread(target=run).start()\n"
        "    return future.result()"
    ),
    "it waits for the main thread": (
        "def run(done):\n    threading.main_thread().join()\n    done.set()\nclass A:\n    def start(self):\n"
        "        self.t = Thread(target=run, args=(self.done,))\n        self.t.start()"
    ),
    "a class of this module": "class Thread:\n    pass\ndef f():\n    Thread(target=g).start()",
    "a timer that is cancelled": (
        "def f():\n    t = Timer(5, g)\n    t.start()\n    try:\n        h()\n    finally:\n        t.cancel()"
    ),
    "an executor entered later": "def f():\n    pool = ThreadPoolExecutor()\n    with pool:\n        pool.submit(g)",
    "an executor on a stack": (
        "def f():\n    with contextlib.ExitStack() as stack:\n"
        "        pool = stack.enter_context(ThreadPoolExecutor())\n        pool.submit(g)"
    ),
    "an executor entered on a stack elsewhere": (
        "class A:\n    def __init__(self):\n        self.pool = ThreadPoolExecutor()\n"
        "    def __enter__(self):\n        self.stack.enter_context(self.pool)"
    ),
    "what its loop asks is told to stop": (
        "class A:\n    def start(self):\n        Thread(target=self._run).start()\n"
        "    def _run(self):\n        while self.requests.next().kind == 'run':\n            g()\n"
        "    def request_stop(self):\n        self.requests.request_stop()"
    ),
    "the default executor of a loop": "def f(loop):\n    loop.set_default_executor(ThreadPoolExecutor())",
    "executors shut down one by one": (
        "class A:\n    def pool(self, name):\n        self.pools[name] = ThreadPoolExecutor()\n"
        "    def close(self):\n        for pool in self.pools.values():\n            pool.shutdown()"
    ),
    "an executor that is only ours if none was given": (
        "class A:\n    def __init__(self, pool=None):\n"
        "        self.pool = ThreadPoolExecutor() if pool is None else pool\n"
        "    def __del__(self):\n        self.pool.shutdown(wait=False)"
    ),
    "a lazy executor of the module": (
        "pool = None\ndef get():\n    global pool\n    if pool is None:\n        pool = ThreadPoolExecutor()\n"
        "    return pool.submit(g)"
    ),
    "an executor of a class": (
        "class A:\n    @classmethod\n    def get(cls):\n        cls.pool = ThreadPoolExecutor()\n"
        "        cls.pool.submit(g)"
    ),
}


@pytest.mark.parametrize("name", OWNED)
def test_leaves_alone(tmp_path, name):
    """The shape has an owner, and no finding."""
    assert findings(tmp_path, OWNED[name]) == []
