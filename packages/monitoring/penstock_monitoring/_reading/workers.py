"""Several processes that are scraped as one: each writes what it shows into a folder, and the one asked reads all.

A process holds the lock of a number for as long as it lives, and its number is its label. The kernel lets go of the
lock however the process ends, so who is dead is known for sure, its file is removed, and the number is free again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from penstock_limits import ConfigurationError
from penstock_limits.forks import after_fork

from penstock_monitoring._reading.series import Series

__all__ = ["VARIABLE", "Worker", "folder", "worker_in"]

logger = logging.getLogger("penstock.monitoring")

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # as for prometheus_client's own multiprocess mode
MOST: Final = 1000  # processes


def folder() -> Path | None:
    """Return the folder that the environment names; None if this process is scraped alone."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


class Worker:
    """This process, among those that share a folder.

    Attributes:
        number: Its number.
    """

    def __init__(self, where: Path) -> None:
        self._where = where
        self._lock = threading.Lock()
        self._failed = False
        self._descriptor, self.number = _claim(where)

    @property
    def label(self) -> str:
        """Its number, as a label."""
        return str(self.number)

    def write(self, series: Series) -> None:
        """Let the others see what this process shows; they see all of it or what was before.

        Where that fails, as on a full disk, it is told once.
        """
        told = {name: [[list(labels), value] for labels, value in values.items()] for name, values in series.items()}
        text = json.dumps({"version": 1, "pid": os.getpid(), "at": time.time(), "series": told})
        with self._lock:
            try:
                self._replace(text)
            except (OSError, ConfigurationError) as error:  # what this process shows of itself is no less true
                if not self._failed:
                    logger.warning("what this process shows cannot be shared: %s", type(error).__name__)
                self._failed = True
            else:
                self._failed = False

    def _replace(self, text: str) -> None:
        if not os.fstat(self._descriptor).st_nlink:  # somebody has emptied the folder: others may get the number
            descriptor = self._descriptor
            self._descriptor, self.number = _claim(self._where)
            os.close(descriptor)
        file = _file(self._where, self.number)
        beside = file.with_suffix(".part")
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)

    def others(self) -> Iterator[tuple[str, float, Series]]:
        """Return what the other processes show: their label, how old it is in seconds, and it; forget the dead."""
        for lock in sorted(self._where.glob("penstock-*.lock")):
            number = lock.stem.removeprefix("penstock-")
            if not number.isdecimal() or int(number) == self.number:
                continue
            file = _file(self._where, int(number))
            if not _has_died(lock, file) and (read := _read(file)) is not None:
                yield number, *read

    def withdraw(self) -> None:
        """Take away what this process shows, until it writes again."""
        with self._lock, contextlib.suppress(OSError):  # its age tells the others
            _file(self._where, self.number).unlink(missing_ok=True)

    def forget(self) -> None:
        """In a forked child: let go of the lock, which the parent still holds."""
        os.close(self._descriptor)


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.workers: dict[Path, Worker] = {}


_state = _State()


def worker_in(where: Path) -> Worker:
    """Return this process's place in a folder; the same each time.

    Raises:
        ConfigurationError: The folder cannot be used, or this platform has no file locks.
    """
    with _state.lock:
        after_fork(_after_fork)
        worker = _state.workers.get(where)
        if worker is None:
            worker = _state.workers[where] = Worker(where)
        return worker


def _after_fork() -> None:
    workers, _state.workers, _state.lock = _state.workers, {}, threading.Lock()
    for worker in workers.values():
        worker.forget()


def _claim(where: Path) -> tuple[int, int]:
    """Return a lock that nobody holds, held, and its number."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        for number in range(MOST):
            descriptor = os.open(where / f"penstock-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _try_lock(descriptor):
                _file(where, number).unlink(missing_ok=True)  # of a dead process
                return descriptor, number
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(f"{VARIABLE}: {where} cannot be used: {error.strerror}") from error
    raise ConfigurationError(f"{VARIABLE}: {MOST} processes use {where} already")


def _has_died(lock: Path, file: Path) -> bool:
    """Tell whether the process has died that a lock belongs to; then remove its file, while nobody can be the next."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _try_lock(descriptor):
            return False
        with contextlib.suppress(OSError):  # another user's
            file.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        raise ConfigurationError(
            f"{VARIABLE}: this platform has no file locks; scrape each process on its own"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file(where: Path, number: int) -> Path:
    return where / f"penstock-{number}.json"


def _read(file: Path) -> tuple[float, Series] | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not written yet, or of another version
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        series = {name: {tuple(labels): value for labels, value in values} for name, values in told["series"].items()}
        return max(0.0, time.time() - told["at"]), series
    return None
