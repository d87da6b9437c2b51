"""The report: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import os
import platform
import string
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from examples.demo._charts import Timeline, concurrency_chart, connections_chart, latency_chart, refusals_chart
from examples.demo._checks import Check
from examples.demo._load import Load
from examples.demo._measure import Figures
from examples.demo._screen import COLUMNS

__all__ = ["write_report"]

_TEMPLATE = Path(__file__).with_name("report.html")


def write_report(
    file: Path,
    seen: Load,
    figures: Sequence[Figures],
    checks: Sequence[Check],
    *,
    limit: int,
    provider_limit: int,
    pool: int,
) -> None:
    """Write the report, whole or not at all.

    Args:
        file: Where; its folder is made.
        seen: The loads.
        figures: Theirs.
        checks: What is claimed.
        limit: What the agents' limiter lets run.
        provider_limit: What the provider serves at once.
        pool: How many connections to the database the agents' pool may open.
    """
    timeline = Timeline(tuple(seen.windows))
    failed = sum(not check.holds for check in checks)
    text = string.Template(_TEMPLATE.read_text("utf-8")).substitute(
        verdict=f"{failed} of {len(checks)} claims do not hold" if failed else f"All {len(checks)} claims hold",
        verdict_class="fails" if failed else "holds",
        checks=_checks(checks),
        table=_table(figures),
        concurrency=concurrency_chart(timeline, seen.requests, limit=limit, provider_limit=provider_limit),
        refusals=refusals_chart(timeline, seen.requests),
        latency=latency_chart(figures),
        connections=connections_chart(timeline, seen.connections, pool=pool),
        flips=", ".join(f"{flip.mode} after {flip.seconds:.1f} s" for flip in seen.flips),
        pid=seen.pid,
        machine=html.escape(f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} cores"),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as written:
        written.write(text)
    Path(written.name).chmod(0o644)
    Path(written.name).replace(file)


def _checks(checks: Iterable[Check]) -> str:
    rows = (
        f'<li class="{"holds" if check.holds else "fails"}"><b>{"Holds" if check.holds else "Fails"}</b> '
        f"{html.escape(check.name)} <span>{html.escape(check.figures)}</span></li>"
        for check in checks
    )
    return "\n".join(rows)


def _table(figures: Iterable[Figures]) -> str:
    head = "".join(f'<th scope="col">{html.escape(heading.replace(chr(10), " "))}</th>' for heading, _ in COLUMNS)
    rows = (
        f'<tr class="{html.escape(each.name.replace(" ", "-"))}"><th scope="row">{html.escape(each.name)}</th>'
        + "".join(f"<td>{html.escape(write(each))}</td>" for _, write in COLUMNS)
        + "</tr>"
        for each in figures
    )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
