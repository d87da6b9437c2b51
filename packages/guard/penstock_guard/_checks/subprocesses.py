"""Child processes that a test starts and leaves running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._watched import Made

__all__ = ["Subprocesses"]

REMEDY: Final = ("PEN605", "End the process - terminate(), then wait() - in a `finally` or a fixture.")


class Subprocesses:
    """Takes note of what `subprocess`, asyncio and multiprocessing start."""

    names = ("subprocess",)

    def before(self, watch: Watch) -> list[Made[Any]]:
        """Begin to take note; multiprocessing if it is loaded."""
        started: list[Made[Any]] = []

        def note(site: CallSite | None, process: Any, *_: Any, **__: Any) -> None:
            started.append(Made(process, site))

        watch.test.note(subprocess.Popen, "__init__", note)
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None:
            watch.test.note(processes.BaseProcess, "start", note)
        return started

    def after(self, watch: Watch, state: list[Made[Any]]) -> Iterator[Accusation]:
        """Accuse those that live on; none is reaped, as somebody may still wait for it."""
        for made in watch.left(state, _is_alive):
            yield accuse("subprocess", REMEDY, f"{_named(made.thing)} was left running", made.site)


def _is_alive(process: Any) -> bool:
    if not isinstance(process, subprocess.Popen):
        return bool(process.is_alive())
    if getattr(process, "pid", None) is None or process.returncode is not None:  # it did not start, or is known to end
        return False
    if not hasattr(os, "waitid"):
        return process.poll() is None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:  # somebody has waited for it
        return False


def _named(process: Any) -> str:
    if not isinstance(process, subprocess.Popen):
        return f"the process {process.name!r} ({process.pid})"
    program: Any = process.args
    if isinstance(program, (list, tuple)) and program:
        program = program[0]
    name = PurePath(os.fsdecode(program)).name.split(" ")[0] if isinstance(program, (str, bytes, os.PathLike)) else "?"
    return f"the process {name!r} ({process.pid})"  # not its arguments: they may hold secrets
