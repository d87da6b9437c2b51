"""`examine_all`: examines many files, in several processes where that is worth it."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._auditing.examine import Examined, examine
from penstock_migrations._auditing.source import UnreadableError, read
from penstock_migrations.rule import Options

__all__ = ["Work", "WorkerError", "examine_all", "no_collector"]

_CHUNK = 24
_WORTH_PROCESSES = 200  # files; starting a process costs as much as examining some thirty of them


Result = tuple[Path, str | None, str]


class WorkerError(RuntimeError):
    """A process that examined files was ended by something else; the message says what to do."""

    def __init__(self) -> None:
        super().__init__("a process of the audit was ended from outside, perhaps for want of memory; try --jobs 1")


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with each file.

    Attributes:
        options: What the project tells its rules.
        codes: The codes of the rules to run.
    """

    options: Options
    codes: tuple[str, ...]


def examine_all(files: Sequence[Path], work: Work, jobs: int, done: Callable[[int], None]) -> Iterator[Result]:
    """Examine files.

    Args:
        files: The files.
        work: What is to be done with each.
        jobs: How many processes may be used.
        done: Called with the number of files examined since it was called last.

    Yields:
        Each file, in no order, with the hash of its content and what was found as JSON; the hash is None where the file
        cannot be read.

    Raises:
        WorkerError: A process was ended from outside.
    """
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    if jobs == 1 or len(files) < _WORTH_PROCESSES:
        for chunk in chunks:
            yield from _examined(chunk, work)
            done(len(chunk))
        return
    # Started afresh: a fork would copy the threads of a progress bar in whatever state they are.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(chunks)), context, _prepare) as pool:
        running = [pool.submit(_examined, chunk, work) for chunk in chunks]
        yield from _results(pool, running, done)


def _results(
    pool: ProcessPoolExecutor,
    running: Sequence[Future[list[Result]]],
    done: Callable[[int], None],
) -> Iterator[Result]:
    try:
        for future in as_completed(running):
            found = future.result()
            done(len(found))
            yield from found
    except BrokenProcessPool:
        raise WorkerError from None
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise


def _prepare() -> None:
    """Let only the first process hear Ctrl-C: it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _examined(files: Sequence[Path], work: Work) -> list[Result]:
    with no_collector():
        return [_examined_one(file, work) for file in files]


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Stop the garbage collector: trees and facts have no cycles, so it would look at millions of them in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _examined_one(file: Path, work: Work) -> Result:
    try:
        source = read(file)
    except UnreadableError as error:
        return file, None, _as_json(Examined(unreadable=str(error)))
    return file, source.sha256, _as_json(examine(source, work.options, work.codes))


def _as_json(examined: Examined) -> str:
    return json.dumps(examined.as_data(), separators=(",", ":"))
