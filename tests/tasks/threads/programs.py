"""Programs that end, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

BOUND = 60.0  # seconds after which a process is taken for one that hangs

# What every program begins with. `rest()` stops when it is told to, `hang()` never; both say when they have begun.
PREAMBLE = """
import atexit, os, signal, sys, threading, time
import penstock_limits, penstock_tasks
from penstock_tasks import Thread, ThreadPoolExecutor, Timer, set_exit_deadline, stop_event

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

begun = threading.Semaphore(0)

def rest(name="rest"):
    begun.release()
    stop_event().wait(50)
    say(name, "ends")

def hang():
    begun.release()
    time.sleep(50)
    say("hang ends")

def start(thread):
    thread.start()
    begun.acquire()
    return thread

"""


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        status: Its exit status; minus the signal's number if one ended it.
        lines: What it said.
        errors: What it wrote to stderr.
        seconds: How long it ran.
    """

    status: int
    lines: list[str]
    errors: str
    seconds: float


def run(program: str, mode: str = "enforce", *, signal_at: tuple[str, int] | None = None) -> Ended:
    """Run a program to its end.

    Args:
        program: Its text, behind the preamble.
        mode: The mode of its threads.
        signal_at: A line that it says, and the signal to send it then.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    environment["PENSTOCK_MODE_MANAGED_THREADS"] = mode
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", PREAMBLE + textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    said = []
    try:
        if signal_at is not None:
            while signal_at[0] not in said:
                said.append(process.stdout.readline().rstrip("\n"))
            process.send_signal(signal_at[1])
        out, errors = process.communicate(timeout=BOUND)
    finally:
        process.kill()
        process.wait()
    return Ended(process.returncode, said + out.splitlines(), errors, time.monotonic() - start)
