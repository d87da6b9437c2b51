"""SIGTERM and SIGINT in real processes, under load."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

START = """
import asyncio, logging, os, signal, sys, threading
from penstock_tasks import TaskManager

async def forever():
    await asyncio.Event().wait()

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

def ready():
    print("ready", flush=True)
"""


def run(program: str, *signals: int, timeout: float = 60) -> tuple[int, str, str, float]:
    """Start a program, send signals when it is ready, and return its status, output, log and how long it took."""
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [sys.executable, "-c", START + program], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        guard = threading.Timer(timeout, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            begun = time.monotonic()
            for each in signals:
                process.send_signal(each)
            output = process.stdout.read()
            status = process.wait()
        finally:
            guard.cancel()
            process.kill()
        log.seek(0)
        return status, output, log.read(), time.monotonic() - begun


UNDER_LOAD = """
async def request(number):
    await asyncio.sleep(0.001 * (number % 50))
    return number

async def serve(tasks):
    number = 0
    while True:
        number += 1
        tasks.start_soon(request, number, name="request")
        if number == 2000:
            ready()
        if number % 20 == 0:
            await asyncio.sleep(0)

async def main():
    async with TaskManager("app", drain_timeout=0.5, cancel_timeout=0.5) as tasks:
        tasks.start_soon(stubborn, name="stubborn")
        tasks.start_soon(forever, name="endless")
        tasks.service(forever, name="feed")
        await serve(tasks)

asyncio.run(main())
"""


def test_sigterm_under_load_ends_within_the_deadline_with_a_report() -> None:
    """It dies of the signal, as without; the log says how each job has ended, and where the stubborn one is."""
    status, _, log, seconds = run(UNDER_LOAD, signal.SIGTERM)

    assert status == -signal.SIGTERM
    assert seconds < 30
    assert "app was shut down in 1" in log
    assert "1 left behind, 2 cancelled, " in log
    assert re.search(r"stubborn: left behind after 1\S* s at <string>:\d+ in stubborn", log)
    assert re.search(r"endless: cancelled after 0\.5\S* s at <string>:\d+ in forever", log)
    assert re.search(r"feed: cancelled after 0\.5\S* s at <string>:\d+ in forever", log)
    assert re.search(r"request: finished after ", log)
    assert "Traceback" not in log


def test_sigint_lets_work_in_flight_end_and_is_a_keyboard_interrupt() -> None:
    """What `asyncio.run` makes of it."""
    program = """
async def work():
    ready()
    while tasks._state == "open":
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    print("work done")

async def main():
    global tasks
    async with TaskManager(drain_timeout=60) as tasks:
        tasks.start_soon(work)
        await forever()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    status, output, _, _ = run(program, signal.SIGINT)

    assert (status, output) == (0, "work done\ninterrupted\n")


def test_a_signal_while_it_drains_does_not_cut_that_short() -> None:
    """It asks for what goes on already."""
    program = """
async def work():
    while tasks._state == "open":
        await asyncio.sleep(0)
    ready()
    while not tasks._signalled:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    print("work done", flush=True)

async def main():
    global tasks
    async with TaskManager(drain_timeout=60) as tasks:
        tasks.start_soon(work)

asyncio.run(main())
"""
    status, output, _, _ = run(program, signal.SIGTERM)

    assert (status, output) == (-signal.SIGTERM, "work done\n")


def test_two_managers_in_one_block_both_drain() -> None:
    """The inner one first."""
    program = """
async def work(tasks, name):
    while tasks._state == "open":
        await asyncio.sleep(0)
    print(name, "done", flush=True)

async def main():
    async with TaskManager("outer", drain_timeout=60) as outer, TaskManager("inner", drain_timeout=60) as inner:
        outer.start_soon(work, outer, "outer")
        inner.start_soon(work, inner, "inner")
        ready()
        await forever()

asyncio.run(main())
"""
    status, output, _, _ = run(program, signal.SIGTERM)

    assert status == -signal.SIGTERM
    assert sorted(output.splitlines()) == ["inner done", "outer done"]


def test_a_block_that_does_not_let_itself_be_cancelled_ends_too() -> None:
    """When the time of the shutdown is over; the log says where it stands."""
    program = """
async def main():
    async with TaskManager(drain_timeout=0.2, cancel_timeout=0.2):
        ready()
        await stubborn()

asyncio.run(main())
"""
    status, _, log, _ = run(program, signal.SIGTERM)

    assert status == -signal.SIGTERM
    assert "has not been left after a signal" in log
    assert "in stubborn" in log


def test_a_second_signal_takes_effect_at_once() -> None:
    """Whoever is in a hurry need not wait for the drain."""
    program = """
async def work():
    while tasks._state == "open":
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await forever()

async def main():
    global tasks
    async with TaskManager(drain_timeout=600) as tasks:
        tasks.start_soon(work)
        ready()
        await forever()

asyncio.run(main())
"""
    status, _, _, seconds = run(program, signal.SIGTERM)

    assert status == -signal.SIGTERM
    assert seconds < 50


def test_a_signal_that_somebody_else_handles_is_theirs() -> None:
    """A server's; the manager goes on until its block is left."""
    program = """
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with TaskManager() as tasks:
        ready()
        await stop.wait()
        tasks.start_soon(asyncio.sleep, 0)
        print("stopped by its own handler")

asyncio.run(main())
"""
    assert run(program, signal.SIGTERM)[:2] == (0, "stopped by its own handler\n")


def test_a_forked_child_still_dies_of_the_signal() -> None:
    """It has inherited our handler, but not our loop."""
    program = """
import warnings
warnings.simplefilter("ignore")

async def main():
    async with TaskManager():
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, b"x")  # a signal that comes within the fork itself is lost to Python
            signal.alarm(30)
            while True:
                signal.pause()
        os.read(reader, 1)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

ready()
asyncio.run(main())
"""
    status, output, _, _ = run(program)

    assert (status, output) == (0, f"-{int(signal.SIGTERM)}\n")


def test_in_another_thread_signals_are_left_alone() -> None:
    """Only the main thread can handle them; the manager works there as anywhere."""
    program = """
async def main():
    async with TaskManager() as tasks:
        print(await tasks.start_soon(asyncio.sleep, 0, "fine"), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)

ready()
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
"""
    assert run(program)[:2] == (0, "fine True\n")


def test_after_the_block_the_handlers_are_what_they_were() -> None:
    """A second manager in another loop works as the first."""
    program = """
async def main():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with TaskManager():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before

ready()
asyncio.run(main())
asyncio.run(main())
"""
    assert run(program)[0] == 0


def test_a_handler_that_is_given_back_late_still_lets_the_signal_end_the_process() -> None:
    """Somebody took the manager's handler for the usual one, and puts it back when the manager is long gone."""
    program = """
async def main():
    async with TaskManager():
        before = signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGTERM, before)
    ready()
    await forever()

asyncio.run(main())
"""
    assert run(program, signal.SIGTERM)[0] == -signal.SIGTERM
