"""The loads: the same job, before the migration and after it in every mode, in one process that never restarts."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from examples.demo._measure import Window
from examples.demo._programs import Agents

__all__ = ["SETTINGS", "research", "wait_for_mode", "write_documents"]

SETTINGS = {"PROVIDER_RETRIES": "3", "PROVIDER_BACKOFF": "0.2", "RESEARCH_QUESTIONS": "3"}
_FLIP_SECONDS = 30.0
_POLL_SECONDS = 0.1

_WORDS = (
    "water pressure gate spillway flood season concrete engineer inspection valve level record report upstream "
    "reservoir seepage crest gauge turbine intake sediment storm permit operator"
).split()


def write_documents(folder: Path, count: int) -> None:
    """Write documents to research, the same each time.

    Args:
        folder: Where; it is made.
        count: How many.
    """
    folder.mkdir()
    chance = random.Random(1)
    for number in range(count):
        lines = [" ".join(chance.choices(_WORDS, k=12)).capitalize() + "." for _ in range(8)]
        (folder / f"{number:03}.md").write_text(f"# Document {number}\n\n" + "\n".join(lines) + "\n", "utf-8")


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
    counters = (await agents.do("status"))["limiters"].get("api_call") if limiter else None
    return Window(name, start, end, int(report["lost"]), counters)


async def wait_for_mode(agents: Agents, mode: str, change: Callable[[], Awaitable[Any]]) -> float:
    """Change a flag and wait until the running agents follow.

    Args:
        agents: The running agents.
        mode: What they will follow to.
        change: Changes the flag.

    Returns:
        Seconds from the end of the change until the agents had followed.

    Raises:
        TimeoutError: They had not, after half a minute.
    """
    await change()
    changed = time.monotonic()
    async with asyncio.timeout(_FLIP_SECONDS):
        while await _mode(agents) != mode:
            await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - changed


async def _mode(agents: Agents) -> str:
    limiters: Mapping[str, Mapping[str, Any]] = (await agents.do("status"))["limiters"]
    return str(limiters.get("api_call", {}).get("mode"))
