"""`python -m examples.demo.perf`: what limits and the monitor cost the demo's agents, by the sequential test."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Literal

import psutil
from penstock_limits import PenstockError
from penstock_monitoring.perf import Comparison, Run, Verdict, compare
from rich.console import Console

from examples.demo._by_hand import mend
from examples.demo._database import database
from examples.demo._load import SETTINGS, Job, write_documents
from examples.demo._measure import measure
from examples.demo._programs import ROOT, Agents, ProgramError, Provider, agents, copy_of_agents, penstock, provider

__all__ = ["contenders", "main", "measure_all"]

DOCUMENTS = 12  # three questions for each: more calls at once than the provider takes
SERVICE = 0.1  # seconds that an answer takes; shorter than in the demo, so that the agents' own work counts
PROVIDER_LIMIT = 24
MARGINS = {"cpu": 0.1, "throughput": 0.1}
PAIRS = 60

Contender = Callable[[], Run]

WATCHED = '''\
"""The agents' worker, with a monitor."""

import asyncio

import penstock_flags
import penstock_limits
from agents.settings import Settings
from agents.telemetry import telemetry
from agents.worker import Worker
from penstock_monitoring import ConcurrencyMonitor


async def main() -> None:
    telemetry.start(Settings())
    async with ConcurrencyMonitor():
        await Worker().run()


penstock_limits.set_mode_source(penstock_flags.open())
asyncio.run(main())
'''


def main() -> int:
    """Compare; returns 0 if nothing regressed, 1 if something did, 3 if it cannot be told, 130 if it is ended."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo.perf", description="What limits and monitor cost.")
    parser.add_argument("--pairs", type=_count, default=PAIRS, help="pairs of runs, at most (%(default)s)")
    parser.add_argument(
        "--evidence", type=Path, default=ROOT / "reports", help="the folder for the evidence (%(default)s)"
    )
    options = parser.parse_args()
    console = Console(highlight=False)
    try:
        with console.status("Comparing: off, enforce, enforce with the monitor"):
            found = asyncio.run(_until_told_to_end(measure_all(options.pairs)))
        console.print(*found, sep="\n")
        for each in found:
            each.write(options.evidence / f"perf-{each.name.replace(' ', '-')}.json")
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Interrupted; every process has ended and the copy is removed.")
        return 130
    except (ProgramError, PenstockError, OSError, ValueError) as error:
        console.print(f"It cannot go on: {error or type(error).__name__}", style="red", markup=False)
        return 3
    console.print(f"The evidence: {options.evidence}/perf-*.json", markup=False)
    verdicts = {each.verdict for each in found}
    return 1 if Verdict.REGRESSED in verdicts else 3 if Verdict.INCONCLUSIVE in verdicts else 0


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("allowed are 1 and more")
    return number


async def _until_told_to_end(work: Coroutine[None, None, list[Comparison]]) -> list[Comparison]:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def measure_all(pairs: int) -> list[Comparison]:
    """Compare the demo's load off with enforced, and enforced without and with the monitor.

    Args:
        pairs: Pairs of runs to make at most, of each comparison.
    """
    async with contenders("off", "enforce", "watched") as (off, enforce, watched):
        return [
            await asyncio.to_thread(compare, name, baseline, candidate, margins=MARGINS, pairs=pairs)
            for name, baseline, candidate in (
                ("limits enforced", off, enforce),
                ("monitor on", enforce, watched),
            )
        ]


@contextlib.asynccontextmanager
async def contenders(*names: Literal["off", "enforce", "watched"]) -> AsyncIterator[list[Contender]]:
    """Start the demo's agents once for each name, migrated: in a mode, or enforced and with a monitor.

    Args:
        names: Which.

    Yields:
        For each what gives its agents the job once, and returns what that took; to be called in another thread.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-perf-")))
        project, documents = copy_of_agents(folder / "agents"), folder / "documents"
        write_documents(documents, DOCUMENTS)
        await _migrate(project)
        asked = await stack.enter_async_context(provider(PROVIDER_LIMIT, service=SERVICE))
        kept = await stack.enter_async_context(database(400))
        job, settings = Job(documents, kept), {"PROVIDER_URL": f"{asked.url}/v1", "RAG_DSN": kept.dsn}
        yield [await stack.enter_async_context(_contender(project, settings, job, asked, name)) for name in names]


async def _migrate(project: Path) -> None:
    written = await penstock(project, "codemod", ".", "--select", "1,2", "--write")
    mend(project)
    started = await penstock(project, "flags", "init")
    if written.status not in (0, 1) or started.status != 0:
        raise ProgramError(f"the copy cannot be migrated:\n{written.errors}{started.errors}")
    (project / "watched.py").write_text(WATCHED, "utf-8")


@contextlib.asynccontextmanager
async def _contender(
    project: Path, settings: dict[str, str], job: Job, asked: Provider, name: str
) -> AsyncIterator[Contender]:
    """Run agents, and yield what gives them the job once; they have done it once before."""
    mode, program = ("enforce", ("watched.py",)) if name == "watched" else (name, ("-m", "agents", "work"))
    loop = asyncio.get_running_loop()
    async with agents(project, SETTINGS | settings | {"PENSTOCK_MODE": mode}, program=program) as program_at_work:
        await job.run(program_at_work, mode, limiter=False)  # imports, connections
        yield lambda: _await_in(loop, _run(job, program_at_work, asked, mode))


async def _run(job: Job, at_work: Agents, asked: Provider, mode: str) -> Run:
    process = psutil.Process(at_work.pid)
    before, began = process.cpu_times(), time.monotonic()
    window = await job.run(at_work, mode, limiter=False)
    after, wall = process.cpu_times(), time.monotonic() - began
    cpu = after.user + after.system - before.user - before.system
    figures = measure(window, await asked.requests(), (), ())
    return Run(
        wall_seconds=wall,
        cpu_seconds=cpu,
        operations=figures.answered,
        failed=figures.lost,
        cpu_per_operation=cpu / figures.answered if figures.answered else None,
        throughput=figures.throughput,
        p50=figures.p50,
        p99=figures.p99,
    )


def _await_in(loop: asyncio.AbstractEventLoop, work: Coroutine[None, None, Run]) -> Run:
    return asyncio.run_coroutine_threadsafe(work, loop).result()


if __name__ == "__main__":
    sys.exit(main())
