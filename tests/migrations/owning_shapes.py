"""Shapes of threads, timers, executors and tasks without an owner, by what the codemod makes of them."""

from __future__ import annotations

HEAD = """import asyncio
import atexit
import concurrent.futures
import functools
import os
import signal
import subprocess
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import Thread, Timer

import click

done = []


def work(*numbers):
    done.extend(numbers)
    told(numbers)
    return sum(numbers)

"""

# Each defines `run`, which is called without arguments; the last work tells so, by `told`. So they can be run before
# and after.
SAFE = {
    "a daemon on the spot": """
def run():
    threading.Thread(target=work, args=(1, 2), daemon=True).start()
""",
    "no daemon, by a bare name": """
def run():
    Thread(target=work, args=(1, 2)).start()
""",
    "a list of threads": """
def run():
    started = []
    for number in range(3):
        thread = threading.Thread(target=work, args=(number,), name=f"n{number}")
        thread.daemon = True
        thread.start()
        started.append(thread)
""",
    "all arguments by stars": """
def run():
    given = {"args": (4,), "daemon": True}
    threading.Thread(None, work, **given).start()
""",
    "asyncio.run in a thread": """
async def later():
    await asyncio.sleep(0)
    work(5)

def run():
    threading.Thread(target=lambda: asyncio.run(later()), daemon=True).start()
""",
    "a method's thread that is kept": """
class Job:
    def start(self):
        self._thread = threading.Thread(target=work, args=(7,), daemon=True)
        self._thread.start()

def run():
    Job().start()
""",
    "a timer that is a daemon": """
def run():
    timer = threading.Timer(0.0, work, (3,))
    timer.daemon = True
    timer.start()
""",
    "timers that start the next": """
left = [2, 1, 0]

def turn():
    done.append(left.pop())
    if not left:
        return told(done)
    timer = Timer(0.0, turn)
    timer.daemon = True
    timer.start()

def run():
    turn()
""",
    "an executor in the arguments": """
async def run():
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(ThreadPoolExecutor(1), work, 1, 2)
""",
    "an executor whose futures are gathered": """
async def run():
    executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="reads")
    loop = asyncio.get_running_loop()
    reads = [loop.run_in_executor(executor, functools.partial(pow, n, 2)) for n in range(4)]
    return await asyncio.gather(*reads)
""",
    "an executor that is asked for each result": """
def run():
    executor = ThreadPoolExecutor(2)
    futures = [executor.submit(pow, n, 2) for n in range(4)]
    return [future.result() for future in futures]
""",
    "an executor whose map is a list": """
def run():
    executor = concurrent.futures.ThreadPoolExecutor(2)
    return list(executor.map(abs, range(3)))
""",
    "an executor's futures as they are completed": """
def run():
    executor = ThreadPoolExecutor(2)
    futures = {executor.submit(pow, n, 2): n for n in range(4)}
    return sorted(one.result() for one in concurrent.futures.as_completed(futures))
""",
    "an executor that is waited for": """
def run():
    executor = ThreadPoolExecutor(2)
    futures = [executor.submit(pow, n, 2) for n in range(4)]
    finished, _ = concurrent.futures.wait(futures)
    return len(finished)
""",
    "an object's own executor": """
class Parser:
    def __init__(self):
        self._executor = ThreadPoolExecutor(max_workers=1)

    async def parse(self, page):
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, page)

async def run():
    return await Parser().parse(9)
""",
    "a task on its own": """
async def job(number):
    work(number)

async def run():
    asyncio.create_task(job(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return list(done)
""",
    "a task with a name and a callback": """
async def job(number):
    return work(number)

async def run():
    task = asyncio.create_task(job(1), name="job")
    task.add_done_callback(lambda one: done.append((one.get_name(), one.result())))
    for _ in range(4):
        await asyncio.sleep(0)
    return list(done)
""",
    "a task of a callback": """
async def job(number):
    work(number)

async def run():
    asyncio.get_running_loop().call_soon(lambda: asyncio.create_task(coro=job(2)))
    for _ in range(4):
        await asyncio.sleep(0)
    return list(done)
""",
}

# Reason and shape.
REVIEW = {
    "a timer that is no daemon": ("until it has fired", "def f():\n    threading.Timer(60, work).start()"),
    "a timer whose daemon a variable says": (
        "until it has fired",
        "def f(daemon):\n    timer = Timer(60, work)\n    timer.daemon = daemon\n    timer.start()",
    ),
    "a chain that keeps the process alive": (
        "keeps the process alive",
        "def f():\n    work()\n    Timer(60, f).start()",
    ),
    "a watchdog of another module": (
        "by its name",
        "from jobs import exit_when_orphaned\n\ndef f():\n    Thread(target=exit_when_orphaned, daemon=True).start()",
    ),
    "work that nobody waits for": ("it is cancelled", "def f():\n    ThreadPoolExecutor(1).submit(work, 1)"),
    "futures that are returned": (
        "it is cancelled",
        "def f(items):\n    pool = ThreadPoolExecutor(1)\n    return [pool.submit(work, one) for one in items]",
    ),
    "one wait of two": (
        "it is cancelled",
        "def f():\n    pool = ThreadPoolExecutor(1)\n    pool.submit(work)\n    return pool.submit(work).result()",
    ),
    "an executor that others may use": (
        "it is cancelled",
        (
            "class A:\n    def __init__(self):\n        self.pool = ThreadPoolExecutor(1)\n"
            "    def f(self):\n        return self.pool.submit(work).result()"
        ),
    ),
    "an executor that nobody uses here": (
        "it is cancelled",
        "class A:\n    def __init__(self):\n        self._pool = ThreadPoolExecutor(1)",
    ),
    **{
        name: ("it is cancelled", "def f(items, some):\n    pool = ThreadPoolExecutor(1)\n" + lines)
        for name, lines in {
            "a wait that may be over before": (
                "    jobs = [pool.submit(work, one) for one in items]\n    concurrent.futures.wait(jobs, timeout=1)"
            ),
            "a wait for the first": (
                "    jobs = [pool.submit(work, one) for one in items]\n"
                "    concurrent.futures.wait(jobs, return_when=concurrent.futures.FIRST_COMPLETED)"
            ),
            "a result that may come too late": "    return pool.submit(work).result(timeout=1)",
            "results until one will do": (
                "    jobs = [pool.submit(work, one) for one in items]\n"
                "    for job in concurrent.futures.as_completed(jobs):\n        if job.result():\n            break"
            ),
            "the first result": (
                "    jobs = [pool.submit(work, one) for one in items]\n"
                "    for job in concurrent.futures.as_completed(jobs):\n        return job.result()"
            ),
            "a wait under a condition": "    job = pool.submit(work)\n    if some:\n        job.result()",
            "results of those that are done": (
                "    jobs = [pool.submit(work, one) for one in items]\n"
                "    return [job.result() for job in jobs if job.done()]"
            ),
            "a way out between": (
                "    job = pool.submit(work)\n    if some:\n        return None\n    return job.result()"
            ),
            "a generator that may be closed": "    for one in pool.map(work, items):\n        yield one",
            "a method that is handed on": "    put = pool.submit\n    put(work)\n    return pool.submit(work).result()",
        }.items()
    },
    "a timeout of asyncio": (
        "it is cancelled",
        (
            "async def f(loop):\n    pool = ThreadPoolExecutor(1)\n    async with asyncio.timeout(1):\n"
            "        await loop.run_in_executor(pool, work)"
        ),
    ),
    "a program of gevent": (
        "patches the standard library",
        "from gevent import monkey\nmonkey.patch_all()\n\ndef f():\n    Thread(target=work).start()",
    ),
}
NONE = {
    "a watchdog": ("end the process itself", "def f():\n    Thread(target=lambda: os._exit(1), daemon=True).start()"),
    "a timer that kills": (
        "end the process itself",
        "def f():\n    timer = Timer(9, os._exit, (1,))\n    timer.daemon = True\n    timer.start()",
    ),
    "a watchdog that aborts": (
        "end the process itself",
        "def dog():\n    os.abort()\n\ndef f():\n    Thread(target=dog, daemon=True).start()",
    ),
    "a reloader": (
        "end the process itself",
        "def again():\n    os.execv('python', ['python'])\n\ndef f():\n    Thread(target=again, daemon=True).start()",
    ),
    "a name of one's own beside": (
        "may stand for something else",
        "import fake\nif fake.on:\n    threading = fake\n\ndef f():\n    threading.Thread(target=work).start()",
    ),
    "an argument of a later Python": (
        "not all supported Pythons know: context",
        "def f(c):\n    Thread(target=work, context=c).start()",
    ),
    "at exit": ("while the program ends", "@atexit.register\ndef f():\n    Thread(target=work).start()"),
    "at exit, by a call": (
        "while the program ends",
        (
            "class A:\n    def __init__(self):\n        atexit.register(self.close)\n"
            "    def close(self):\n        Thread(target=work).start()"
        ),
    ),
    "a finalizer": ("while the program ends", "class A:\n    def __del__(self):\n        Thread(target=work).start()"),
    "after a fork": (
        "forks",
        "def f():\n    if os.fork() == 0:\n        Thread(target=work).start()",
    ),
    "types are compared": (
        "compares a type",
        "def f():\n    Thread(target=work).start()\n\ndef g(one):\n    return type(one) is Thread",
    ),
    "types are compared, in several": (
        "compares a type",
        "def f():\n    Thread(target=work).start()\n\ndef g(one):\n    return one.__class__ in (Thread, Timer)",
    ),
    "a Temporal workflow": ("Temporal", "import temporalio.workflow\n\ndef f():\n    Thread(target=work).start()"),
    "processes": ("no drop-in for ProcessPoolExecutor", "def f():\n    ProcessPoolExecutor(1).submit(work, 1)"),
    "a task of a loop": ("a loop makes the task", "def f(loop, g):\n    loop.create_task(g())"),
    "a future, or a coroutine": ("also takes futures", "async def f(g):\n    asyncio.ensure_future(g())"),
    "one of many tasks": (
        "(PEN102)",
        "async def f(urls, g):\n    for url in urls:\n        asyncio.create_task(g(url))",
    ),
    "a task made eagerly": (
        "not all supported Pythons know: eager_start",
        "async def f(g):\n    asyncio.create_task(g(), eager_start=True)",
    ),
}
