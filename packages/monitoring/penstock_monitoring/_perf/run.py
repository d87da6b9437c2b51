"""`Run`: what one run of a program cost, and how it is found out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from penstock_monitoring._perf.errors import RunError
from penstock_monitoring._perf.latencies import percentile
from penstock_monitoring._perf.measured import FOLDER

__all__ = ["Run", "run_command"]

_SHOWN = 2000  # characters of a failed command's output


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a program cost. What concerns operations is None if the program marks none.

    Attributes:
        wall_seconds: How long it took.
        cpu_seconds: CPU time of all of it, its children included.
        operations: Operations that succeeded.
        failed: Operations that failed.
        cpu_per_operation: CPU seconds for each operation, from the first one to the end of the last.
        throughput: Operations per second in that time.
        p50: Median of their latencies, in seconds.
        p99: The 99th percentile of the same.
        saturation: The share of that time in which anybody waited for the limit that was waited for longest.
    """

    wall_seconds: float
    cpu_seconds: float
    operations: int | None = None
    failed: int | None = None
    cpu_per_operation: float | None = None
    throughput: float | None = None
    p50: float | None = None
    p99: float | None = None
    saturation: float | None = None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Run:
        """Return a run from plain values.

        Raises:
            ValueError: They are none of a run.
        """
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in plain.items() if name in known}
        wrong = [name for name, value in values.items() if not (value is None or _is_amount(value))]
        missing = [name for name in ("wall_seconds", "cpu_seconds") if values.get(name) is None]
        if wrong or missing:
            raise ValueError(f"a run has no number for {', '.join(wrong or missing)}")
        return cls(**values)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def run_command(command: Sequence[str], *, folder: Path, timeout: float) -> Run:
    """Run a command to its end and return what it cost. Blocks; other children must not end meanwhile.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        timeout: Seconds after which it is killed, with all that it has started.

    Raises:
        RunError: It cannot be started, fails, or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-perf-") as told, tempfile.TemporaryFile() as output:
        environment = os.environ | {FOLDER: told}
        cpu, began = _cpu_of_children(), time.monotonic()
        try:
            process = subprocess.Popen(  # noqa: S603 - what its user wants to run
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"{command[0]} cannot be started: {error.strerror or error}") from error
        killed = _wait(process, timeout)
        wall, cpu = time.monotonic() - began, _cpu_of_children() - cpu
        if killed:
            raise RunError(f"the command had not ended after {timeout:g} seconds, and was killed")
        if process.returncode != 0:
            output.seek(max(0, output.tell() - _SHOWN))
            last = output.read().decode(errors="replace").strip()
            raise RunError(f"the command ended with status {process.returncode}" + (f":\n{last}" if last else ""))
        return _with_operations(Run(wall, cpu), Path(told))


def _wait(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for its end; return whether it was killed, as it took too long. No descendant in its session survives."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        _kill_session(process.pid)

    timer = threading.Timer(timeout, kill)
    timer.daemon = True
    timer.start()
    try:
        process.wait()
    finally:
        timer.cancel()
        timer.join()
        _kill_session(process.pid)
        process.wait()
    return late.is_set() and process.returncode == -signal.SIGKILL


def _kill_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended; runs come one after another, so the rest is theirs."""
    try:
        import resource
    except ImportError:
        raise RunError("CPU time of commands cannot be measured on this platform: it has no getrusage()") from None
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _with_operations(run: Run, folder: Path) -> Run:
    told = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")]
    if not told:
        return run
    buckets: Counter[int] = Counter()
    failed = 0
    saturated: dict[tuple[str, str], float] = {}
    for process in told:
        for operation in process["operations"]:
            buckets.update(dict(operation["buckets"]))
            failed += operation["failed"]
        for each in process["saturated"]:
            key = each["kind"], each["name"]
            saturated[key] = max(saturated.get(key, 0.0), each["seconds"])
    succeeded = buckets.total()
    seconds = max(each["last"] for each in told) - min(each["first"] for each in told)
    cpu = sum(each["cpu_seconds"] for each in told)
    return Run(
        wall_seconds=run.wall_seconds,
        cpu_seconds=run.cpu_seconds,
        operations=succeeded,
        failed=failed,
        cpu_per_operation=cpu / succeeded if succeeded else None,
        throughput=succeeded / seconds if seconds else None,
        p50=percentile(buckets, 0.5),
        p99=percentile(buckets, 0.99),
        saturation=min(1.0, max(saturated.values()) / seconds) if saturated and seconds else None,
    )
