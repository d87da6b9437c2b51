"""Runs a project's own tests in one mode, bounded in time, and sees which rewritten files they load."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._proving.guarded import GUARDED, Guarded, guard_environment, guard_report

__all__ = ["TestCommandError", "TestRun", "parse_command", "run_tests", "running_tests"]

_GRACE_SECONDS = 5.0
_KEPT_LINES = 40
_HOW = {
    "off": "with every capability off",
    "enforce": "with every capability enforced",
    GUARDED: "once more, enforced, under the guard",
}


class TestCommandError(ValueError):
    """The test command cannot be run; the message says why."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the project's tests.

    Attributes:
        mode: `off` or `enforce`, as PENSTOCK_MODE said it; `guarded` is enforced, and looked at by the guard.
        command: The command.
        status: Its exit status; None if it took longer than allowed.
        seconds: How long it took.
        loaded: The rewritten files that it loaded.
        output: The end of what it wrote.
        guard: What the guard saw; None if it was not there, or not asked for.
    """

    __test__ = False

    mode: str
    command: str
    status: int | None
    seconds: float
    loaded: tuple[str, ...]
    output: str
    guard: Guarded | None = None

    @property
    def passed(self) -> bool:
        """Whether the tests passed."""
        return self.status == 0

    @property
    def lacks_runtime(self) -> bool:
        """Whether they failed because what rewritten code calls is not installed where they ran."""
        return self._missing is not None

    @property
    def _missing(self) -> str | None:
        found = None if self.passed else re.search(r"No module named '(penstock_\w+)", self.output)
        return found[1].replace("_", "-") if found else None

    @property
    def ending(self) -> str:
        """How it ended, in a few words."""
        if self.status is None:
            return f"the tests were stopped after {self.seconds:.0f} s; allow more with --timeout"
        if self.passed:
            return f"the tests pass ({self.seconds:.0f} s)"
        if self.lacks_runtime:
            return f"{self._missing} is not installed where your tests run: install it there and run again"
        last = next((line for line in reversed(self.output.splitlines()) if line.strip()), "no output")
        return f"the tests end with status {self.status}: {last.strip()[:160]}"


def parse_command(command: str) -> list[str]:
    """Split a command as a shell would.

    Raises:
        TestCommandError: It is empty, or a quote is not closed.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise TestCommandError(f"--test-command {command!r}: {error}") from None
    if not words:
        raise TestCommandError("--test-command is empty; give the command that runs your tests, such as 'pytest -q'")
    return words


def run_tests(command: str, root: Path, mode: str, *, changed: Mapping[str, Path], timeout: float) -> TestRun:
    """Run the tests in a folder, which goes first on their import path.

    Args:
        command: As a shell would be given it; no shell runs it.
        root: The project's root, the working directory.
        mode: The mode of every capability; `guarded` enforces, and has the guard look on.
        changed: The rewritten files, by the path that people are shown.
        timeout: Seconds after which the tests and all that they started are stopped.

    Raises:
        TestCommandError: The command cannot be started.
    """
    words = parse_command(command)
    with tempfile.TemporaryDirectory(prefix="penstock-tests-") as folder, tempfile.TemporaryFile() as output:
        started = time.monotonic()
        status = _run(words, root, _environment(root, mode, Path(folder)), output.fileno(), timeout)
        seconds = time.monotonic() - started
        output.seek(0)
        text = output.read().decode(errors="replace")
        loaded = tuple(path for path, file in changed.items() if _was_loaded(file, Path(folder)))
        guard = guard_report(Path(folder)) if mode == GUARDED else None
    end = "\n".join(text.splitlines()[-_KEPT_LINES:])
    return TestRun(mode, command, status, round(seconds, 2), loaded, end, guard)


def running_tests(mode: str) -> str:
    """Say that the tests run, and how."""
    return f"Running your tests {_HOW[mode]}"


def _environment(root: Path, mode: str, own: Path) -> dict[str, str]:
    ours = ("PENSTOCK_MODE", "PENSTOCK_GUARD")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    # An installed copy of the project must not be tested in the place of the rewritten one.
    path = [str(folder) for folder in (root, root / "src") if folder.is_dir()]
    inherited = [kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else []
    return kept | {
        "PENSTOCK_MODE": "enforce" if mode == GUARDED else mode,
        "PYTHONPATH": os.pathsep.join([*path, *inherited]),
        "PYTHONPYCACHEPREFIX": str(own),
        **(guard_environment(own) if mode == GUARDED else {}),
    }


def _run(words: Sequence[str], root: Path, environment: Mapping[str, str], output: int, timeout: float) -> int | None:
    with _started(words, root, environment, output) as process:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def _started(
    words: Sequence[str], root: Path, environment: Mapping[str, str], output: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a group of its own, and leave none of the group behind."""
    with _interrupts_held_back() as let_through:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command
                words,
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise TestCommandError(f"--test-command: {words[0]!r} cannot be started: {error.strerror}") from None
        try:
            let_through()
            yield process
        finally:
            if process.poll() is None:
                _stop(process, signal.SIGTERM)
            _stop(process, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until what is given is called: amid its start the new process would be lost sight of."""
    held: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number)) if is_main else None

    def let_through() -> None:
        if is_main:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if held:
            held.clear()
            raise KeyboardInterrupt

    try:
        yield let_through
    finally:
        let_through()


def _stop(process: subprocess.Popen[bytes], with_signal: int) -> None:
    """Signal the whole group; its leader may be gone while its children go on."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, with_signal)
        else:
            process.send_signal(with_signal)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def _was_loaded(file: Path, bytecode: Path) -> bool:
    """Say whether an interpreter compiled the file: then its bytecode lies beneath the prefix that it was given."""
    before, sys.pycache_prefix = sys.pycache_prefix, str(bytecode)
    try:
        cached = Path(importlib.util.cache_from_source(str(file)))
    finally:
        sys.pycache_prefix = before
    # The tests may run on another version of Python, which puts its own tag in the name.
    return any(cached.parent.glob(f"{file.stem}.*.pyc"))
