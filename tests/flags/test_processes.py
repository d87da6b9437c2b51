"""A running program, and a command in another process that flips a flag under it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flags.conftest import PATIENCE

# Reads the mode in a tight loop, as a program under load does, and says when it has changed.
READER = """
import sys, time, penstock_flags
with penstock_flags.open("production", sys.argv[1]) as flags:
    mode = flags.mode("bounded-fanout")
    print(mode, time.time(), flush=True)
    while mode != sys.argv[2]:
        now = flags.mode("bounded-fanout")
        if now != mode:
            mode = now
            print(mode, time.time(), flush=True)
"""


def flip(directory: Path, mode: str) -> float:
    """Flip the flag by the command, and return the time at which it wrote."""
    command = [sys.executable, "-m", "penstock_cli", "flags", "set", "bounded-fanout", mode, "--env", "production"]
    subprocess.run([*command, "--directory", str(directory)], check=True, capture_output=True)
    return (directory / "environments" / "production.json").stat().st_mtime


def test_running_program_sees_a_flip(directory: Path, record_property):
    """A command in one process flips the mode that a loop in another process reads."""
    program = [sys.executable, "-c", READER, str(directory), "enforce"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline().startswith("off ")
        flipped = flip(directory, "enforce")
        mode, seen = reader.stdout.readline().split()

        assert mode == "enforce"
        assert reader.wait(PATIENCE) == 0
    # A figure for people, and no limit: the machine may be busy.
    sys.stdout.write(f"flip seen after {float(seen) - flipped:.3f} s\n")
    record_property("flip_seconds", float(seen) - flipped)


WRITER = """
import sys
from pathlib import Path
from penstock_flags._project import Project
from penstock_flags._writer import set_mode
project, name = Project(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
for _ in range(10):
    set_mode(project, "production", name, "observe")
"""

FLAGS = "\n".join(
    f'[flags.{name}]\nphase = 1\ndescription = "the flag {name}"\nowner = "tests"' for name in ("one", "two", "three")
)


def test_concurrent_writers_lose_nothing(directory: Path):
    """Three processes write ten times each, two of them the same flag: every write counts."""
    (directory / "flags.toml").write_text(FLAGS)
    (directory / "environments" / "production.json").write_text('{"flags": {}}')
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(directory), name], stdin=subprocess.PIPE, text=True)
        for name in ("one", "two", "two")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.close()
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]
    flags = json.loads((directory / "environments" / "production.json").read_text())["flags"]

    assert {key: flag["version"] for key, flag in flags.items()} == {"one": 11, "two": 21}


KILLED = """
import os, signal, sys
from pathlib import Path
from penstock_flags._project import Project
from penstock_flags._writer import set_mode
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
set_mode(Project(Path(sys.argv[1])), "production", "bounded-fanout", "enforce")
"""


def test_writer_killed_in_the_middle_harms_nobody(directory: Path, put):
    """A writer that is killed while it writes leaves the old file whole, and the next one can write."""
    path = directory / "environments" / "production.json"
    before = path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(directory)], check=False)

    assert killed.returncode < 0
    assert path.read_bytes() == before
    assert put("observe").after == "observe"


def test_reader_never_sees_half_a_file(directory: Path, put):
    """Whoever reads while others write sees whole documents only, and no temporary file stays."""
    path = directory / "environments" / "production.json"
    program = [sys.executable, "-c", WRITER, str(directory), "bounded-fanout"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.close()
        while writer.poll() is None:
            assert json.loads(path.read_bytes())["flags"]["bounded-fanout"]["version"] >= 1

    assert sorted(entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")) == [
        ".gitignore",
        ".lock",
    ]


@pytest.mark.slow
def test_twenty_flips_and_the_loop_is_not_disturbed(directory: Path):
    """Twenty flips reach a program whose event loop keeps running; the times are printed."""
    program = [sys.executable, "-c", LOOP, str(directory)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdout.readline()
        delays = []
        for index in range(20):
            flipped = flip(directory, ("enforce", "observe")[index % 2])
            mode, seen = reader.stdout.readline().split()
            assert mode == ("enforce", "observe")[index % 2]
            delays.append(float(seen) - flipped)
        report, _ = reader.communicate("stop\n", timeout=PATIENCE)
    delays.sort()
    sys.stdout.write(f"flip seen after: p50 {delays[10]:.3f} s, max {delays[-1]:.3f} s; {report}")

    assert "event loop lag" in report


LOOP = """
import asyncio, sys, time, penstock_flags

async def lag(seconds, found):
    while True:
        before = time.perf_counter()
        await asyncio.sleep(seconds)
        found.append(time.perf_counter() - before - seconds)

def percentile(found, share):
    return sorted(found)[int(len(found) * share)] * 1000

async def main():
    loop, alone, beside = asyncio.get_running_loop(), [], []
    meter = asyncio.create_task(lag(0.001, alone))
    await asyncio.sleep(3)
    meter.cancel()
    with penstock_flags.open("production", sys.argv[1]) as flags:
        def say():
            print(flags.mode("bounded-fanout"), time.time(), flush=True)
        print("ready", flush=True)
        flags.subscribe(say)
        meter = asyncio.create_task(lag(0.001, beside))
        await asyncio.to_thread(sys.stdin.readline)
        meter.cancel()
    print("event loop lag p50/p99/max ms:",
          "without flags %.2f/%.2f/%.2f," % (percentile(alone, .5), percentile(alone, .99), max(alone) * 1000),
          "with %.2f/%.2f/%.2f" % (percentile(beside, .5), percentile(beside, .99), max(beside) * 1000))

asyncio.run(main())
"""
