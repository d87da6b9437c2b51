"""The demo from beginning to end."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import penstock_limits

from examples.demo._checks import Check, judge_connections, judge_loads
from examples.demo._database import database
from examples.demo._journey import migrate
from examples.demo._load import Load, load, write_documents
from examples.demo._measure import Figures, measure
from examples.demo._programs import copy_of_agents, provider
from examples.demo._report import write_report
from examples.demo._screen import Screen

__all__ = ["demo"]

DOCUMENTS = 32  # three questions for each: 96 calls at once
PROVIDER_LIMIT = 24
DATABASE_LIMIT = 400


async def demo(report: Path, screen: Screen) -> bool:
    """Migrate a copy of examples/agents, run it before and after, and say what holds.

    Args:
        report: The HTML file to write.
        screen: Where to show what happens.

    Returns:
        Whether every claim holds.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as folder:
        before, after = copy_of_agents(Path(folder) / "before"), copy_of_agents(Path(folder) / "after")
        documents = Path(folder) / "documents"
        write_documents(documents, DOCUMENTS)
        checks = await migrate(after, screen)
        async with provider(PROVIDER_LIMIT) as asked, database(DATABASE_LIMIT) as kept:
            seen = await load(before, after, documents, asked, kept, screen)
    figures = [measure(window, seen.requests, seen.memory, seen.connections) for window in seen.windows]
    config = penstock_limits.ConcurrencyConfig()
    limit, pool = config.api_call_semaphore_limit, config.rag_pool_max_size
    checks += judge_loads(figures, seen.windows, limit=limit, provider_limit=PROVIDER_LIMIT)
    checks += judge_connections(figures, pool=pool)
    checks.append(_follows(seen))
    write_report(report, seen, figures, checks, limit=limit, provider_limit=PROVIDER_LIMIT, pool=pool)
    _conclude(screen, figures, checks, report, time.monotonic() - started)
    return all(check.holds for check in checks)


def _follows(seen: Load) -> Check:
    modes = [(window.limiter or {}).get("mode") for window in seen.windows if window.limiter is not None]
    wanted = ["off", *(flip.mode for flip in seen.flips)]
    waits = ", ".join(f"{flip.mode} after {flip.seconds:.1f} s" for flip in seen.flips)
    return Check("One running process follows every flip of the flag", modes == wanted, f"process {seen.pid}: {waits}")


def _conclude(screen: Screen, figures: list[Figures], checks: list[Check], report: Path, seconds: float) -> None:
    screen.figures(figures)
    screen.checks(checks)
    failed = sum(not check.holds for check in checks)
    verdict = (
        f"[red]{failed} of {len(checks)} claims do not hold" if failed else f"[green]All {len(checks)} claims hold"
    )
    screen.console.print(f"\n{verdict}[/], {seconds:.0f} s. The charts: {report}")
    screen.console.print('Next, on your own code: nox -s phase1 -- PATH --test-command "pytest -q"', markup=False)
