"""Audit a few files beside Fixit, whose concrete trees and metadata take too long for many."""

from __future__ import annotations

import sys

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._tree import tree
from benchmarks.bars.audited_files import cold, parse


async def fixit(size: int, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        stopwatch.command([sys.executable, "-m", "fixit", "--quiet", "lint", str(folder)])


BAR = Bar(
    title="files audited, beside Fixit",
    size=40,
    quick_size=25,
    rounds=1,
    contenders=(
        Contender("ast.parse of all", parse),
        Contender("penstock audit, cold", cold),
        Contender("Fixit", fixit),
    ),
)
