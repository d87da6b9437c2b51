"""`penstock gate`: judge a phase on the evidence at hand, and enter the judgement in the ledger."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock_migrations._command_line.audit import settings_for
from penstock_migrations._command_line.codemod import reports_option

if TYPE_CHECKING:
    from rich.console import Console

    from penstock_migrations._proving.gate import Judgement
    from penstock_migrations._proving.verify import Verification

__all__ = ["check_ledger", "enter", "gate", "print_judgement"]


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--phase", "number", type=click.IntRange(1, 4), default=1, show_default=True)
@reports_option
@click.pass_context
def gate(context: click.Context, path: Path, number: int, reports: Path) -> None:
    """Judge whether PATH has reached the end of a phase, and enter the judgement in the ledger.

    The evidence is an audit of the code as it is, what penstock verify saw of the same code, and what penstock perf
    compare wrote into the reports folder since. Exit status: 0 pass, 1 fail or a broken ledger, 2 usage error,
    3 inconclusive, which never promotes.
    """
    from penstock_migrations._command_line.output import console
    from penstock_migrations._proving.evidence import evidence_of
    from penstock_migrations._proving.gate import judge
    from penstock_migrations._proving.phases import phase
    from penstock_migrations._rewriting.project import project_root

    try:
        wanted = phase(number)
    except ValueError as error:
        raise click.UsageError(str(error), context) from None
    check_ledger(reports / "ledger.jsonl")
    verification = _read_verification(reports / "verify.json")
    evidence = evidence_of(wanted, path, project_root(path), settings_for([path]), verification, reports=reports)
    judgement = judge(wanted, evidence)
    hash_ = enter(reports / "ledger.jsonl", path, judgement)
    print_judgement(console(), judgement, hash_)
    context.exit(judgement.verdict.exit_status)


def check_ledger(ledger: Path) -> None:
    """Refuse a broken ledger before any work is done.

    Raises:
        click.ClickException: The ledger's chain is broken, or it cannot be read.
    """
    from penstock_migrations._proving.ledger import BrokenLedgerError, check

    try:
        check(ledger)
    except BrokenLedgerError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{ledger}: cannot be read: {error.strerror}") from None


def enter(ledger: Path, path: Path, judgement: Judgement, *, trial: bool = False) -> str:
    """Enter a judgement in the ledger, and return its line's hash.

    Args:
        ledger: The ledger.
        path: What was judged.
        judgement: The judgement.
        trial: Whether it is about a copy whose changes were not written.

    Raises:
        click.ClickException: The ledger's chain is broken, or it cannot be written.
    """
    from penstock_migrations._proving.ledger import BrokenLedgerError, append

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entry = {"time": now, "path": path.as_posix(), "trial": trial, **dataclasses.asdict(judgement)}
    try:
        return append(ledger, entry)
    except BrokenLedgerError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{ledger}: cannot be written: {error.strerror}") from None


def print_judgement(to: Console, judgement: Judgement, entry: str) -> None:
    """Print each criterion with its checks, what is not judged, and the verdict."""
    from rich.text import Text

    styles = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
    criterion = ""
    for check in judgement.checks:
        if check.criterion != criterion:
            criterion = check.criterion
            to.print(Text(f"\n{criterion}", style="bold"))
        to.print(Text(f"  {check.outcome:<13}", style=styles[check.outcome]) + Text(f"{check.name}: {check.evidence}"))
    if judgement.not_covered:
        to.print(Text("\nNot judged, and not part of the verdict", style="bold"))
        for statement in judgement.not_covered:
            to.print(Text(f"  - {statement}"))
    verdict = Text(f"\nPhase {judgement.phase}: ") + Text(
        judgement.verdict.upper(), style=f"bold {styles[judgement.verdict]}"
    )
    to.print(verdict + Text(f"  (ledger entry {entry[:16]})"))


def _read_verification(file: Path) -> Verification | None:
    from penstock_migrations._proving.verify import Verification

    try:
        return Verification.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file}: {error}; run penstock verify again, or remove the file") from None
