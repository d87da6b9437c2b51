"""The programs of the demo, each a process of its own: the agents, the provider that they ask, and penstock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from examples.demo._measure import Request
from examples.demo._processes import Done, run, running

__all__ = ["ROOT", "Agents", "ProgramError", "Provider", "agents", "copy_of_agents", "penstock", "provider"]

ROOT = Path(__file__).resolve().parents[2]
_SAMPLE_SECONDS = 0.05


def copy_of_agents(target: Path) -> Path:
    """Copy examples/agents, without what its runs have left there."""
    leftovers = shutil.ignore_patterns("__pycache__", ".*", "penstock-reports", "feature_flags")
    return Path(shutil.copytree(ROOT / "examples" / "agents", target, ignore=leftovers))


class ProgramError(RuntimeError):
    """A program ended that should have gone on."""


class Provider:
    """The provider's process, seen from outside.

    Args:
        url: Where it listens.
        limit: How many requests it serves at once.
    """

    def __init__(self, url: str, limit: int) -> None:
        self.url = url
        self.limit = limit

    async def requests(self) -> list[Request]:
        """Return every request that it has answered or refused so far.

        Raises:
            ProgramError: It does not tell.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            try:
                log = (await client.get(f"{self.url}/log")).raise_for_status().json()
            except httpx.HTTPError as error:
                raise ProgramError(f"the provider does not tell what it has seen: {error!r}") from error
        return [Request(**each) for each in log]


@contextlib.asynccontextmanager
async def provider(limit: int, *, service: float = 0.4) -> AsyncIterator[Provider]:
    """Run the provider.

    Args:
        limit: How many requests it serves at once.
        service: Seconds that an answer takes.
    """
    command = (sys.executable, "-m", "examples.demo.provider", f"--limit={limit}", f"--service={service}")
    async with running(*command, folder=ROOT, environment={}, errors=None) as process:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise ProgramError("the provider did not start")
        yield Provider(json.loads(line)["url"], limit)


class Agents:
    """The agents' process at work.

    Args:
        process: The process.
        errors: Where its standard error goes.
    """

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.memory: list[tuple[float, int]] = []
        self._process = process
        self._errors = errors

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def do(self, workflow: str, **job: Any) -> dict[str, Any]:
        """Give it a job and await the result.

        Raises:
            ProgramError: The process has ended, or the job failed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"id": 0, "workflow": workflow, **job}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise ProgramError(f"the agents have ended:\n{self._errors.read_text('utf-8')[-2000:]}")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise ProgramError(f"the agents failed at {workflow}: {result['error']}")
        return result

    async def sample_memory(self) -> None:
        """Note its resident memory, in bytes, again and again; until cancelled."""
        process = psutil.Process(self.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            while True:
                self.memory.append((time.time(), process.memory_info().rss))
                await asyncio.sleep(_SAMPLE_SECONDS)


@contextlib.asynccontextmanager
async def agents(
    project: Path, environment: Mapping[str, str], *, program: tuple[str, ...] = ("-m", "agents", "work")
) -> AsyncIterator[Agents]:
    """Run the agents of a project.

    Args:
        project: The folder that has the package `agents`.
        environment: Their settings.
        program: What Python runs, and its arguments.
    """
    with tempfile.NamedTemporaryFile(prefix="agents-", suffix=".log") as errors:
        command = (sys.executable, *program)
        async with running(*command, folder=project, environment=environment, errors=errors.fileno()) as process:
            at_work = Agents(process, Path(errors.name))
            sampling = asyncio.create_task(at_work.sample_memory())
            try:
                yield at_work
            finally:
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)


async def penstock(project: Path, *arguments: str) -> Done:
    """Run one penstock command in a project's folder; what it keeps or needs for a while lies beside the project."""
    temporary = project.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = {"PENSTOCK_CACHE_DIR": str(project.parent / "cache"), "TMPDIR": str(temporary)}
    return await run(sys.executable, "-m", "penstock_cli", *arguments, folder=project, environment=environment)
