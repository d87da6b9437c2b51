"""CPU time and memory of a `with` block, or of a command."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

STATUS = Path("/proc/self/status")
GLANCE = 0.02  # seconds between two looks at a command's memory


class Stopwatch:
    """Measures what runs inside `with stopwatch:`, in this process.

    Attributes:
        cpu_seconds: CPU time, user and system.
        memory: Bytes that the RSS rose above what it was before.
    """

    cpu_seconds = 0.0
    memory = 0

    def command(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run a command; measure it and all its processes, its memory by looking at it often.

        Args:
            command: The command; an exit status of 1 says that it found something.
            env: Its environment variables, None for those of this process.

        Raises:
            RuntimeError: It ends with another status than 0 or 1.
        """
        before = _children_cpu()
        with tempfile.TemporaryFile("w+") as errors:
            process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=env)
            while process.poll() is None:
                self.memory = max(self.memory, _rss_of_all(process))
                time.sleep(GLANCE)
            errors.seek(0)
            if process.returncode not in (0, 1):
                raise RuntimeError(f"{command[0]} ended with {process.returncode}: {errors.read()[-500:]}")
        self.cpu_seconds = _children_cpu() - before

    def slowest(self, seconds: Sequence[float], times: int) -> None:
        """Let the slowest of all count for each time.

        Args:
            seconds: How long each took.
            times: How many times the bar says.
        """
        self.cpu_seconds = max(seconds) * times

    def __enter__(self) -> None:
        gc.collect()
        self._rss = psutil.Process().memory_info().rss
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.cpu_seconds = time.process_time() - self._start
        self.memory = max(0, _peak_rss() - self._rss)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rss_of_all(process: psutil.Process) -> int:
    """Return the RSS of a process and its descendants together; what they share is counted for each."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:  # one of them has just ended
        pass
    return total


def _peak_rss() -> int:
    """Return the highest RSS of this process.

    Linux's `ru_maxrss` outlives `exec`, so it may be the parent's; VmHWM is ours.
    """
    if STATUS.exists():
        kilobytes = next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(kilobytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
