"""A process that ends a test's PostgreSQL server and deletes its folder, whatever becomes of the test.

Run by its path, with the folder as its argument. It waits until its standard input has a line or ends; that it also
does when the process at the other end is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 5.0  # seconds for an immediate shutdown, before the server is killed
GLANCE = 0.01  # seconds between two looks


def main(folder: Path) -> None:
    """Wait, end the server, delete the folder."""
    sys.stdin.readline()
    end(folder / "data", patience=PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)


def end(data: Path, *, patience: float) -> None:
    """Shut down the server of a data folder immediately; kill it if that takes too long."""
    pid = _postmaster(data)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
        os.kill(pid, signal.SIGCONT)  # it may have been stopped
        deadline = time.monotonic() + patience
        while alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += patience
            time.sleep(GLANCE)


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in _ps(pid, "stat")


def _postmaster(data: Path) -> int | None:
    """Return the server's process, if it is one: after a kill, its number may be another's."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if str(data) in _ps(pid, "args") else None


def _ps(pid: int, what: str) -> str:
    """Return the state or the command line of a process; empty if there is none."""
    proc = Path(f"/proc/{pid}")
    if not Path("/proc/self/stat").exists():
        return subprocess.run(["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True).stdout  # noqa: PLW1510, S603, S607
    try:
        if what == "args":
            return (proc / "cmdline").read_text(encoding="utf-8", errors="replace")
        return (proc / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
