"""Child processes that end when they should, also after Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Done", "run", "running"]

_LINE_LIMIT = 2**24  # a job's result is one line


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended.

    Attributes:
        status: Its exit status.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
    """

    status: int
    output: str
    errors: str


@contextlib.asynccontextmanager
async def running(
    *command: str,
    folder: Path,
    environment: Mapping[str, str],
    errors: int | None = subprocess.DEVNULL,
    listens: bool = True,
    grace: float = 5.0,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a session of its own, so that Ctrl-C reaches us alone and we end it in order.

    Args:
        *command: The program and its arguments.
        folder: Where it runs.
        environment: Variables to add to ours, from which those are taken that would steer penstock.
        errors: Where its standard error goes: a file descriptor, or a constant of `subprocess`.
        listens: Whether it ends when its standard input does; if not, it is interrupted at once.
        grace: Seconds to wait for its end before it is ended less politely.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=_environment() | dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        limit=_LINE_LIMIT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await _stop(process, listens=listens, grace=grace)


async def run(*command: str, folder: Path, environment: Mapping[str, str]) -> Done:
    """Run a command to its end."""
    async with running(
        *command, folder=folder, environment=environment, errors=subprocess.PIPE, listens=False
    ) as process:
        output, errors = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, output.decode(), errors.decode())


def _environment() -> dict[str, str]:
    """Ours, but for what steers penstock; nothing here goes through a proxy."""
    steering = ("PENSTOCK_", "LAUNCHDARKLY_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return ours | {"NO_PROXY": "*", "no_proxy": "*"}


async def _stop(process: asyncio.subprocess.Process, *, listens: bool, grace: float) -> None:
    """End it as politely as it allows: its input ends, it is interrupted, it is killed; no descendant survives."""
    descendants = _descendants(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    for number in (None, signal.SIGINT, signal.SIGKILL)[not listens :]:
        if number is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()
                break
    for each in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _descendants(pid: int) -> list[psutil.Process]:
    """Its children and theirs: a program that is interrupted while it starts another may lose sight of it."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
