"""`Run`: what one run of a program cost, and how it is found out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Final

from penstock_limits import ConfigurationError

from penstock_monitoring._perf.errors import RunError
from penstock_monitoring._perf.latencies import percentile
from penstock_monitoring._perf.measured import FOLDER, UNFINISHED
from penstock_monitoring._reading.shown import without_secrets

__all__ = ["Run", "run_command"]

_ROUNDS: Final = 20
_SHOWN: Final = 2000  # characters of a failed command's output


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

    def __post_init__(self) -> None:
        figures = {each.name: getattr(self, each.name) for each in fields(self)}
        optional = figures.keys() - {"wall_seconds", "cpu_seconds"}
        wrong = [
            name for name, value in figures.items() if not (_is_amount(value) or (value is None and name in optional))
        ]
        if wrong:
            raise ConfigurationError(f"a run has no number for {', '.join(wrong)}; allowed are 0 and more")

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Run:
        """Return a run from plain values.

        Raises:
            ConfigurationError: They are none of a run.
        """
        known: dict[str, Any] = {each.name: plain.get(each.name) for each in fields(cls)}
        return cls(**known)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max


def run_command(command: Sequence[str], *, folder: Path, timeout: float) -> Run:
    """Run a command to its end and return what it cost. Blocks.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        timeout: Seconds after which it is killed, with all that it has started.

    Raises:
        ConfigurationError: The timeout is none.
        RunError: It cannot be started, fails, or takes too long.
    """
    if not 0 < timeout <= threading.TIMEOUT_MAX:
        raise ConfigurationError(
            f"run: timeout = {timeout!r}; allowed are more than 0 and up to {threading.TIMEOUT_MAX:g}"
        )
    if not hasattr(os, "wait4"):
        raise RunError("CPU time of commands cannot be measured on this platform: it has no wait4()")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="penstock-perf-", ignore_cleanup_errors=True) as told,
            tempfile.TemporaryFile() as output,
        ):
            return _with_operations(_run(command, folder, timeout, told, output), Path(told))
    except OSError as error:
        raise RunError(f"the command cannot be measured: {error.strerror or error}") from error


def _run(command: Sequence[str], folder: Path, timeout: float, told: str, output: IO[bytes]) -> Run:
    began = time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603 - what its user wants to run
            command,
            cwd=folder,
            env=os.environ | {FOLDER: told},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{command[0]} cannot be started in {folder}: {why}") from error
    try:
        cpu, killed = _wait(process, timeout)
        wall = time.monotonic() - began
    finally:
        _kill(process, told)
    if killed:
        raise RunError(f"the command had not ended after {timeout:g} seconds, and was killed")
    if process.returncode != 0:
        output.seek(max(0, output.tell() - _SHOWN))
        last = without_secrets(output.read().decode(errors="replace").strip())
        raise RunError(f"the command ended with status {process.returncode}" + (f":\n{last}" if last else ""))
    return Run(wall, cpu)


def _wait(process: subprocess.Popen[bytes], timeout: float) -> tuple[float, bool]:
    """Wait for its end; return its CPU seconds, and whether it was killed, as it took too long."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        _kill_group(process.pid)

    timer = threading.Timer(timeout, kill)
    timer.daemon = True
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
        timer.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, late.is_set() and process.returncode == -signal.SIGKILL


def _kill(process: subprocess.Popen[bytes], told: str) -> None:
    """Kill what is left of a command: its group and, on Linux, whoever has inherited the name of the run's folder."""
    _kill_group(process.pid)
    mark = f"{FOLDER}={told}".encode()
    for _ in range(_ROUNDS):  # who is killed may just have started another
        left = [pid for pid in _others() if mark in _environment(pid)]
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            break
    process.wait()


def _others() -> list[int]:
    return [int(each.name) for each in Path("/proc").glob("[0-9]*") if each.name != str(os.getpid())]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return []


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _with_operations(run: Run, folder: Path) -> Run:
    if any(folder.glob(f"*{UNFINISHED}")):
        why = "one of the command's processes was killed, or the disk was full, while it wrote what it had done"
        raise RunError(f"{why}; let the command wait for its processes")
    try:
        told = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")]
        return _summed(run, told) if told else run
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the command has a penstock_monitoring of another version: {error!r}") from error


def _summed(run: Run, told: Sequence[Mapping[str, Any]]) -> Run:
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
    if failed and not succeeded:
        raise RunError(f"all of the command's operations failed: {failed}")
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
