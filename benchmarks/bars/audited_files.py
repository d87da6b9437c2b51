"""Audit a few thousand real files: cold, warm, and with one file changed; linters that look for some of it beside."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._tree import tree

PARSE = """
import ast, pathlib, sys, warnings
warnings.simplefilter("ignore")
for file in pathlib.Path(sys.argv[1]).rglob("*.py"):
    try:
        ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        pass
"""


async def parse(size: int, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        stopwatch.command([sys.executable, "-c", PARSE, str(folder)])


async def cold(size: int, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        _audit(folder, stopwatch)


async def warm(size: int, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        _audit(folder, Stopwatch())
        _audit(folder, stopwatch)


async def one_changed(size: int, stopwatch: Stopwatch) -> None:
    _audit_changed(size, "\n# changed\n", stopwatch)


async def one_tells_more(size: int, stopwatch: Stopwatch) -> None:
    _audit_changed(size, "\ndef changed(x):\n    return len(x)\n", stopwatch)


async def ruff(size: int, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        options = ["--isolated", "--no-cache", "--quiet", "--select", "ASYNC,RUF006"]
        stopwatch.command([sys.executable, "-m", "ruff", "check", *options, str(folder)])


async def flake8_async(size: int, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        files = map(str, folder.rglob("*.py"))
        stopwatch.command([sys.executable, "-m", "flake8_async", "--asyncio", "--enable", "ASYNC", *files])


def _audit_changed(size: int, addition: str, stopwatch: Stopwatch) -> None:
    with tree(size) as folder:
        _audit(folder, Stopwatch())
        largest = max(folder.rglob("*.py"), key=lambda file: file.stat().st_size)
        with largest.open("a") as file:
            file.write(addition)
        _audit(folder, stopwatch)


def _audit(folder: Path, stopwatch: Stopwatch) -> None:
    cache = {"PENSTOCK_CACHE_DIR": str(folder.parent / "cache")}
    command = [sys.executable, "-m", "penstock_cli", "audit", "--format", "json", str(folder)]
    stopwatch.command(command, os.environ | cache)


BAR = Bar(
    title="files audited",
    size=2_500,
    quick_size=600,
    rounds=2,
    contenders=(
        Contender("ast.parse of all", parse),
        Contender("penstock audit, cold", cold, ratio_at_most=2.0),
        Contender("penstock audit, warm", warm, ratio_at_most=0.15),
        Contender("penstock audit, one changed", one_changed, ratio_at_most=0.25),
        Contender("the same, and it tells others more", one_tells_more),
        Contender("ruff ASYNC, RUF006", ruff),
        Contender("flake8-async", flake8_async),
    ),
)
