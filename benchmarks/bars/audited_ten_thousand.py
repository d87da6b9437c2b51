"""Audit ten thousand real files in little memory, that of all processes together."""

from __future__ import annotations

from benchmarks._bar import Bar, Contender
from benchmarks.bars.audited_files import cold, parse

BAR = Bar(
    title="files audited, in memory",
    size=10_000,
    quick_size=1_000,
    rounds=1,
    contenders=(
        Contender("ast.parse of all", parse),
        Contender("penstock audit, cold", cold, memory_at_most=250),
    ),
)
