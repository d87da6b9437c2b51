"""The report of phase 1: for people as text, for programs as JSON, and the diff."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from penstock_migrations._command_line.gate import print_judgement
from penstock_migrations._command_line.output import print_diff, print_left, print_lines, unified
from penstock_migrations._command_line.verify import described
from penstock_migrations._counted import counted
from penstock_migrations._proving.phase1 import Phase1
from penstock_migrations._reporting.json_object import as_json
from penstock_migrations._rewriting.write import write_atomically

__all__ = ["print_report", "save_report"]


def print_report(to: Console, result: Phase1, entry: str, *, written: bool) -> None:
    """Print the whole report: found, rewritten, left, verified, judged."""
    report, found = result.planned.report, counted(len(result.planned.report.findings), "finding")
    mended, files = counted(len(result.planned.mended), "finding"), counted(len(result.edits), "file")
    _heading(to, "Audit")
    print_lines(to, [f"{counted(report.files, 'file')} audited, {found} (paths relative to {result.root})"])
    print_lines(to, [f"not audited {each.path}: {each.reason}" for each in report.unreadable])
    _heading(to, "Codemod")
    print_diff(to, result.edits)
    print_lines(to, [f"{mended} mended in {files}"])
    print_left(to, result.planned.left)
    print_lines(to, [f"note {each}" for each in result.planned.notes])
    _heading(to, "Verify")
    print_lines(to, described(result.verification))
    _heading(to, "Gate")
    print_judgement(to, result.judgement, entry)
    print_lines(to, ["", _closing(result, written=written)])


def save_report(folder: Path, result: Phase1, entry: str, *, written: bool) -> None:
    """Write phase1.json, phase1.txt and phase1.diff; and the snapshot for `penstock verify`, if the code was written.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if written:
        write_atomically(folder / "codemod.json", result.snapshot.to_json().encode())
    text = io.StringIO()
    print_report(
        Console(file=text, soft_wrap=True, highlight=False, markup=False, emoji=False), result, entry, written=written
    )
    write_atomically(folder / "phase1.txt", text.getvalue().encode())
    write_atomically(folder / "phase1.diff", unified(result.edits))
    write_atomically(folder / "phase1.json", _json(result, entry, written=written))


def _heading(to: Console, title: str) -> None:
    to.print(Text(f"\n{title}", style="bold"))


def _closing(result: Phase1, *, written: bool) -> str:
    if written:
        return f"Written to {result.root}."
    if not result.edits:
        return "Nothing was rewritten."
    if not result.verification.passed:
        return "Nothing was written: what verify saw speaks against it."
    return "This was a trial on a copy, nothing was written. Run again with --write to write it."


def _json(result: Phase1, entry: str, *, written: bool) -> bytes:
    import json

    planned = result.planned
    document: dict[str, Any] = {
        "version": 1,
        "phase": result.judgement.phase,
        "root": result.root.as_posix(),
        "verdict": result.judgement.verdict,
        "written": written,
        "ledger_entry": entry,
        "checks": [dataclasses.asdict(each) for each in result.judgement.checks],
        "not_covered": result.judgement.not_covered,
        "audit": as_json(planned.report),
        "rewritten": [{"path": each.path, "purpose": each.purpose} for each in result.edits],
        "mended": [_brief(each.path, each.line, each.code, None) for each in planned.mended],
        "left": [
            _brief(each.path, each.finding.line, each.finding.code, each.reason)
            if each.finding
            else _brief(each.path, None, None, each.reason)
            for each in planned.left
        ],
        "notes": planned.notes,
        "verification": dataclasses.asdict(result.verification),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _brief(path: str, line: int | None, code: str | None, reason: str | None) -> dict[str, Any]:
    return {"path": path, "line": line, "code": code} | ({} if reason is None else {"reason": reason})
