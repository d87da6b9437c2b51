"""Threads and processes: what is opened ends, whichever way, and a child lives on its own."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import penstock_flags
import pytest

from tests.flags.conftest import PATIENCE


@pytest.fixture
def watchers() -> Callable[[], list[threading.Thread]]:
    """The threads that the test has started."""
    before = set(threading.enumerate())
    return lambda: [thread for thread in threading.enumerate() if thread not in before]


Watchers = Callable[[], list[threading.Thread]]


def test_close_ends_the_thread(directory: Path, watchers: Watchers):
    """Flags of a file have one thread while they are open, and none after close; modes stay readable."""
    flags = penstock_flags.open("production", directory)
    names = [thread.name for thread in watchers()]
    flags.close()
    flags.close()

    assert names == ["penstock-flags-file"]
    assert watchers() == []
    assert flags.mode("bounded-fanout") == "off"


def test_forgotten_flags_are_closed(directory: Path, watchers: Watchers):
    """Flags that nobody holds any more end their thread."""
    flags = penstock_flags.open("production", directory)
    (thread,) = watchers()
    del flags
    gc.collect()
    thread.join(PATIENCE)

    assert not thread.is_alive()


def test_subscriber_may_close(directory: Path, put, watchers: Watchers):
    """Closing from a callback, in the watching thread itself, ends it."""
    flags = penstock_flags.open("production", directory)
    (thread,) = watchers()
    flags.subscribe(flags.close)
    put("observe")
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert flags.mode("bounded-fanout") == "observe"


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "flags.close()", "del flags"])
def test_program_ends_without_close(directory: Path, end: str):
    """A program that forgets to close ends all the same, and quietly."""
    program = f"import sys, penstock_flags; flags = penstock_flags.open('production', {str(directory)!r}); {end}"
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


FORKING = """
import os, sys, threading, penstock_flags
flags = penstock_flags.open("production", sys.argv[1])
changed = threading.Event()
flags.subscribe(changed.set)
child = os.fork()
if child == 0:
    print("ready", flush=True)
    ok = changed.wait(60) and flags.mode("bounded-fanout") == "enforce"
    os._exit(0 if ok else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_forked_child_follows_flags(directory: Path, put):
    """Threads do not survive a fork; a forked worker sees flips all the same."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(directory)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        put("enforce")

        assert process.wait(PATIENCE) == 0
