"""The loads: the same job before the migration, and after it in every mode, in one process that never restarts."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.demo._database import Database
from examples.demo._measure import Request, Window
from examples.demo._processes import Done
from examples.demo._programs import Agents, ProgramError, Provider, agents, penstock
from examples.demo._screen import Screen

__all__ = ["FLIPS", "SETTINGS", "Flip", "Job", "Load", "load", "research", "wait_for_mode", "write_documents"]

FLAGS = ("managed-threads", "pooled-database", "bounded-fanout")  # the last is the one whose mode the agents tell
FLIPS = (("observe", "observe"), ("enforce", "enforce"), ("off", "rollback"))

SETTINGS = {
    "PROVIDER_RETRIES": "3",
    "PROVIDER_BACKOFF": "0.2",
    "RESEARCH_QUESTIONS": "3",
    "PENSTOCK_ENVIRONMENT": "development",
    "RAG_ENABLED": "1",
}
_FLIP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_QUESTIONS = tuple(f"What is said of the {each}?" for each in ("gate", "valve", "flood", "storm", "season", "operator"))
_WORDS = ("water", "pressure", "gate", "flood", "season", "engineer", "valve", "level", "record", "storm", "operator")


@dataclass(frozen=True, slots=True)
class Flip:
    """A flag that was set while the agents ran.

    Attributes:
        mode: What it was set to.
        seconds: From the end of the command until the running agents had followed.
    """

    mode: str
    seconds: float


@dataclass(slots=True)
class Load:
    """All loads.

    Attributes:
        windows: Each load's time, in order.
        flips: The flags set between them.
        requests: What the provider saw.
        memory: The agents' resident memory: seconds since the epoch, and bytes.
        connections: Those open at the database: seconds since the epoch, and how many.
        pid: The id of the one process that ran all migrated loads.
    """

    windows: list[Window] = field(default_factory=list)
    flips: list[Flip] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    connections: list[tuple[float, int]] = field(default_factory=list)
    pid: int = 0


async def load(
    before: Path, after: Path, documents: Path, provider: Provider, database: Database, screen: Screen
) -> Load:
    """Run all loads.

    Args:
        before: The project as it was.
        after: The project after the migration.
        documents: The folder to research.
        provider: Whom the agents ask.
        database: Where they keep their chunks.
        screen: Where to show it.
    """
    seen = Load()
    settings = SETTINGS | {"PROVIDER_URL": f"{provider.url}/v1", "RAG_DSN": database.dsn}
    job = Job(documents, database)
    async with agents(before, settings) as old:
        with screen.step("Load, not migrated", "python -m agents work"):
            seen.windows.append(await job.run(old, "before", limiter=False))
        seen.memory += old.memory
    _require_success(await penstock(after, "flags", "init"))
    async with agents(after, settings) as new:
        seen.pid = new.pid
        with screen.step("Load, migrated and off", f"python -m agents work, process {new.pid} from here on"):
            seen.windows.append(await job.run(new, "off"))
        for mode, name in FLIPS:
            commands = [("flags", "set", flag, mode, "--env", "development") for flag in FLAGS]
            with screen.step(f"Load, {name}", "penstock " + " ".join(commands[0]) + " ..."):
                for command in commands:
                    _require_success(await penstock(after, *command))
                seen.flips.append(Flip(mode, await wait_for_mode(new, mode)))
                seen.windows.append(await job.run(new, name))
        seen.memory += new.memory
    seen.requests = await provider.requests()
    seen.connections = database.connections
    return seen


class Job:
    """What the agents do under every load: research a question, then answer others from an index of the documents.

    Args:
        documents: The folder.
        database: Where the index is.
    """

    def __init__(self, documents: Path, database: Database) -> None:
        self._documents = documents
        self._database = database

    async def run(self, agents: Agents, name: str, *, limiter: bool = True) -> Window:
        """Let the agents do it, and note the time.

        Args:
            agents: Who does it.
            name: What to call the load.
            limiter: Whether the agents have a limiter whose counters to note.
        """
        opened = await self._database.sessions()
        window = await research(agents, name, self._documents, limiter=limiter)
        questions = [f"{each} ({name})" for each in _QUESTIONS]
        asked = await agents.do("ask", questions=questions, folder=str(self._documents))
        return dataclasses.replace(
            window,
            end=time.time(),
            lost=window.lost + len(questions) - len(asked["answers"]),
            opened=await self._database.sessions() - opened,
        )


async def research(agents: Agents, name: str, folder: Path, *, limiter: bool = True) -> Window:
    """Let the agents research one question over a folder, and note the time.

    Args:
        agents: Who does it.
        name: What to call the load.
        folder: The documents.
        limiter: Whether the agents have a limiter whose counters to note.
    """
    start = time.time()
    report = await agents.do("research", question=f"Why do dams fail? ({name})", folder=str(folder))
    end = time.time()
    counters = await _limiter(agents) if limiter else None
    return Window(name, start, end, int(report["lost"]), counters)


async def wait_for_mode(agents: Agents, mode: str) -> float:
    """Wait until the running agents follow a flag.

    Returns:
        Seconds until they did.

    Raises:
        TimeoutError: They did not, for half a minute.
    """
    started = time.monotonic()
    async with asyncio.timeout(_FLIP_SECONDS):
        while (await _limiter(agents)).get("mode") != mode:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - started


def write_documents(folder: Path, count: int) -> None:
    """Write documents to research, the same each time.

    Args:
        folder: Where; it is made.
        count: How many.
    """
    folder.mkdir()
    chance = random.Random(1)
    for number in range(count):
        lines = [" ".join(chance.choices(_WORDS, k=12)).capitalize() + "." for _ in range(60)]
        blocks = ["\n".join(lines[first : first + 10]) for first in range(0, 60, 10)]
        (folder / f"{number:03}.md").write_text(f"# Document {number}\n\n" + "\n\n".join(blocks) + "\n", "utf-8")


async def _limiter(agents: Agents) -> dict[str, Any]:
    limiters: Mapping[str, dict[str, Any]] = (await agents.do("status"))["limiters"]
    return limiters.get("api_call", {})


def _require_success(command: Done) -> None:
    if command.status != 0:
        raise ProgramError(f"a penstock command ended with status {command.status}:\n{command.errors}")
