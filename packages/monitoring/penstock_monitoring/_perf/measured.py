"""`measured`: marks the operations of a program, which are timed while `penstock perf` runs it."""

from __future__ import annotations

import atexit
import functools
import inspect
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast

from penstock_limits import ConcurrencyMetrics, resources
from penstock_limits.forks import after_fork

from penstock_monitoring._perf.latencies import bucket
from penstock_monitoring._reading.shown import shown

__all__ = ["FOLDER", "UNFINISHED", "measured"]

FOLDER: Final = "PENSTOCK_PERF_DIR"  # where a measured process leaves what it has seen; set by `penstock perf`
UNFINISHED: Final = ".part"  # ends the name of a file there that is being written

_READ_EVERY = 0.1  # seconds between two looks at the resources: who is gone at exit was seen before

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Key = tuple[str, str]


class measured:  # noqa: N801 - used as a function is
    """Mark an operation: as a context manager, or as a decorator of a function or a coroutine function.

    While `penstock perf` runs the program, it is timed, and counted as failed if it raises or is cancelled. Else
    nothing is done. Each `with` statement needs one of its own; a decorated function makes one for each call.

    Args:
        name: What the operation is called.

    Raises:
        RuntimeError: It is entered a second time.
    """

    __slots__ = ("_name", "_recorder", "_started")

    def __init__(self, name: str) -> None:
        self._name = name
        self._recorder: _Recorder | None = None
        self._started: float | None = None

    def __enter__(self) -> Self:
        if self._started is not None:
            raise RuntimeError(f"measured({self._name!r}) is entered a second time: make one for each operation")
        self._recorder = _state.recorder()
        self._started = self._recorder.begin() if self._recorder else 0.0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        recorder, started = self._recorder, self._started
        # In a forked child there is another one: this began in the parent, which counts it.
        if recorder is not None and started is not None and recorder is _state.recorder():
            recorder.end(self._name, started, failed=kind is not None)

    def __call__(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Return the function, each call of which is the operation.

        Raises:
            TypeError: It is a generator: its call does nothing yet.
        """
        name = self._name
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            told = f"measured({name!r}) marks a generator, whose call only makes it"
            raise TypeError(f"{told}; write `with measured({name!r}):` around the loop over it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
                with measured(name):
                    return await function(*args, **kwargs)

            return cast("Callable[_P, _T]", run_coroutine)

        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with measured(name):
                return function(*args, **kwargs)

        return run


class _Recorder:
    """What one process did, from its first operation to the end of its last.

    Args:
        folder: Where to write it when the process ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._latencies: dict[str, Counter[int]] = {}
        self._failed: Counter[str] = Counter()
        self._saturated: dict[_Key, float] = {}
        self._saturated_before: dict[_Key, float] = {}
        self._first: float | None = None
        self._last = 0.0
        self._read = 0.0
        self._cpu_first = self._cpu_last = 0.0

    def begin(self) -> float:
        """Return the time at which an operation begins."""
        now = time.monotonic()
        if self._first is None:
            with self._lock:
                if self._first is None:
                    self._saturated_before = _saturated_seconds()
                    self._cpu_first, self._first = time.process_time(), now
        return now

    def end(self, name: str, started: float, *, failed: bool) -> None:
        """Take note of the end of an operation."""
        now = time.monotonic()
        with self._lock:
            if failed:
                self._failed[name] += 1
            else:
                self._latencies.setdefault(name, Counter())[bucket(now - started)] += 1
            self._last, self._cpu_last = max(self._last, now), time.process_time()
            if now - self._read >= _READ_EVERY:
                self._read_resources(now)

    def _read_resources(self, now: float) -> None:
        self._read = now
        self._saturated.update(_saturated_seconds())

    def write(self) -> None:
        """Leave what was seen in the folder."""
        with self._lock:
            if self._first is None:
                return
            self._read_resources(time.monotonic())
            seen = {
                "version": 1,
                "first": self._first,
                "last": max(self._first, self._last),
                "cpu_seconds": max(0.0, self._cpu_last - self._cpu_first),
                "operations": [
                    {
                        "name": name,
                        "failed": self._failed[name],
                        "buckets": sorted(self._latencies.get(name, {}).items()),
                    }
                    for name in {**self._latencies, **self._failed}
                ],
                "saturated": [
                    {"kind": key[0], "name": key[1], "seconds": seconds - self._saturated_before.get(key, 0.0)}
                    for key, seconds in sorted(self._saturated.items())
                ],
            }
        file = self._folder / f"{os.getpid()}-{time.monotonic_ns()}.json"
        unfinished = file.with_suffix(UNFINISHED)
        unfinished.write_text(json.dumps(seen), encoding="utf-8")
        unfinished.replace(file)


def _saturated_seconds() -> dict[_Key, float]:
    """Return for how long anybody waited for each resource so far."""
    seen: dict[_Key, float] = {}
    for resource in resources():
        if isinstance(resource, ConcurrencyMetrics):  # it reads all the others
            continue
        try:
            statistics: Any = resource.statistics()
            key, seconds = (resource.kind, shown(resource.name)), statistics.saturated_seconds
        except Exception:  # noqa: BLE001, S112 - one that fails, or knows of no queue, must not hide the others
            continue
        seen[key] = max(seen.get(key, 0.0), float(seconds))
    return seen


class _State:
    """The process's recorder; made at its first operation, if `penstock perf` runs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = self._hooked = False
        self._recorder: _Recorder | None = None

    def recorder(self) -> _Recorder | None:
        if not self._asked:
            with self._lock:
                if not self._asked:
                    self._recorder, self._asked = self._make(), True
        return self._recorder

    def _make(self) -> _Recorder | None:
        folder = os.environ.get(FOLDER)
        if not folder:
            return None
        self._write_at_the_end()
        return _Recorder(Path(folder))

    def _write_at_the_end(self) -> None:
        if not self._hooked:  # a forked child inherits both
            self._hooked = True
            atexit.register(self.write)
            after_fork(self._forked)
        if processes := sys.modules.get("multiprocessing.util"):  # its children end without atexit
            processes.Finalize(None, self.write, exitpriority=0)

    def write(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.write()

    def _forked(self) -> None:
        """In a forked child: what was counted is the parent's."""
        self._lock = threading.Lock()
        self._asked, self._recorder = False, None


_state = _State()
