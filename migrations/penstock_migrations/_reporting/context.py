"""`Context`: what a format shows besides the report itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from penstock_migrations._reporting.baseline import Trend
from penstock_migrations._reporting.sources import Sources

__all__ = ["Context"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What was asked, and what it was compared with.

    Attributes:
        paths: The paths that were audited, as they were given.
        sources: The files behind the findings.
        baseline: The baseline's file, if there is one.
        trend: What has come and gone since the baseline.
        since: The revision since which changed lines are reported; None for all lines.
    """

    paths: tuple[Path, ...] = ()
    sources: Sources = field(default_factory=Sources)
    baseline: Path | None = None
    trend: Trend | None = None
    since: str | None = None
