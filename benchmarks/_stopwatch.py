"""CPU time and memory of a `with` block."""

from __future__ import annotations

import gc
import resource
import sys
import time
from pathlib import Path

import psutil

STATUS = Path("/proc/self/status")


class Stopwatch:
    """Measures what runs inside `with stopwatch:`, in this process.

    Attributes:
        cpu_seconds: CPU time, user and system.
        memory: Bytes that the RSS rose above what it was before.
    """

    cpu_seconds = 0.0
    memory = 0

    def __enter__(self) -> None:
        gc.collect()
        self._rss = psutil.Process().memory_info().rss
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.cpu_seconds = time.process_time() - self._start
        self.memory = max(0, _peak_rss() - self._rss)


def _peak_rss() -> int:
    """Return the highest RSS of this process.

    Linux's `ru_maxrss` outlives `exec`, so it may be the parent's; VmHWM is ours.
    """
    if STATUS.exists():
        kilobytes = next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(kilobytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
