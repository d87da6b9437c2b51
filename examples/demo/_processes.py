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

__all__ = ["Done", "run", "running"]

_LINE_LIMIT = 2**24  # a job's result is one line


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended.

    Attributes:
        status: Its exit status.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
        seconds: How long it took.
    """

    status: int
    output: str
    errors: str
    seconds: float


@contextlib.asynccontextmanager
async def running(
    *command: str,
    folder: Path,
    environment: Mapping[str, str],
    errors: int | None = subprocess.DEVNULL,
    grace: float = 5.0,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a session of its own, so that Ctrl-C reaches us alone and we end it in order.

    Args:
        *command: The program and its arguments.
        folder: Where it runs.
        environment: Variables to add to ours, from which those are taken that would steer penstock.
        errors: Where its standard error goes: a file descriptor, or a constant of `subprocess`.
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
        await _stop(process, grace)


async def run(*command: str, folder: Path, environment: Mapping[str, str]) -> Done:
    """Run a command to its end."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with running(*command, folder=folder, environment=environment, errors=subprocess.PIPE) as process:
        try:
            output, errors = await process.communicate()
        except asyncio.CancelledError:
            _signal(process, signal.SIGINT)
            raise
    assert process.returncode is not None
    return Done(process.returncode, output.decode(), errors.decode(), loop.time() - started)


def _environment() -> dict[str, str]:
    """Ours, but for what steers penstock; nothing here goes through a proxy."""
    steering = ("PENSTOCK_", "LAUNCHDARKLY_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return ours | {"NO_PROXY": "*", "no_proxy": "*"}


async def _stop(process: asyncio.subprocess.Process, grace: float) -> None:
    """End it as politely as it allows: its input ends, then it is interrupted, then killed with its children."""
    assert process.stdin is not None
    process.stdin.close()
    for number in (None, signal.SIGINT, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if number is not None:
            _signal(process, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()
                return


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
