"""What the terminal and the report file say."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from penstock_guard._accusations import Accusation

__all__ = ["as_entry", "as_text", "summarize", "write"]

VERSION = 1
Entry = dict[str, Any]


def as_entry(accusation: Accusation, test: str, root: Path) -> Entry:
    """Return an accusation as plain data, its path relative to the root of the project, with `/`."""
    return {
        "check": accusation.check,
        "code": accusation.code,
        "test": test,
        "message": accusation.message,
        "remedy": accusation.remedy,
        "path": None if accusation.path is None else _relative(accusation.path, root),
        "line": accusation.line,
        "function": accusation.function,
        "stack": list(accusation.stack),
        "baseline": False,
    }


def _relative(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return Path(path).as_posix()


def as_text(entries: Iterable[Entry]) -> str:
    """Return why a test fails, for people."""
    return "\n".join(line for entry in entries for line in (_title(entry), *_details(entry)))


def _title(entry: Entry) -> str:
    return f"{entry['check']}: {entry['message']}"


def _details(entry: Entry) -> list[str]:
    lines = []
    if entry["path"] is not None:
        lines.append(f"  at {entry['path']}:{entry['line']} in {entry['function']}")
    lines += [f"    {each}" for each in entry["stack"]]
    lines.append(f"  {entry['code']}: {entry['remedy']}  (penstock explain {entry['code']})")
    return lines


def summarize(terminal: pytest.TerminalReporter, entries: list[Entry], *, tests: int, unguarded: int) -> None:
    """Write the section of the terminal's summary: a block for each place, the tests that led there under it."""
    if not entries:
        return
    terminal.section("penstock guard", sep="=", yellow=True)
    for block in _blocks(entries):
        first = block[0]
        known = all(entry["baseline"] for entry in block)
        terminal.write(f"{first['check']}", bold=True, **({} if known else {"red": True}))
        terminal.write_line(f": {first['message']}" + ("  (in the baseline)" if known else ""))
        details = _details(first)
        for line in details[:-1]:
            terminal.write_line(line)
        names = list(dict.fromkeys(entry["test"] for entry in block))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        terminal.write_line(f"  in {names[0]}{more}")
        terminal.write_line(details[-1], cyan=True)
        terminal.write_line("")
    new = sum(not entry["baseline"] for entry in entries)
    told = f"{len(entries)} accusations in {tests} tests"
    if new != len(entries):
        told += f", {new} of them new"
    if unguarded:
        told += f"; {unguarded} tests were not watched, as they run on trio"
    terminal.write_line(told, bold=True)


def _blocks(entries: list[Entry]) -> list[list[Entry]]:
    """Group what was accused of one line by one check."""
    blocks: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        place = (entry["path"], entry["line"]) if entry["path"] is not None else (entry["test"], entry["message"])
        blocks.setdefault((entry["check"], entry["code"], entry["baseline"], *place), []).append(entry)
    return sorted(blocks.values(), key=lambda block: block[0]["baseline"])


def write(
    path: Path,
    mode: str,
    entries: list[Entry],
    tests: int,
    failures: list[str],
    resources: Iterable[tuple[str, str, str]],
) -> None:
    """Write the report as one JSON object, if it is a folder into a file of its own; failures are the guard's."""
    if path.is_dir():
        path /= f"guard-{os.getpid()}-{time.time_ns()}.json"
    document = {
        "version": VERSION,
        "mode": mode,
        "tests": tests,
        "accusations": entries,
        "failures": failures,
        "resources": [{"package": package, "kind": kind, "name": name} for package, kind, name in resources],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
