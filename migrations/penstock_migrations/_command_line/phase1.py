"""`penstock phase1`: audit, codemod, verify and gate, one after the other, on any path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock_migrations._command_line.audit import settings_for
from penstock_migrations._command_line.codemod import reports_option
from penstock_migrations._command_line.interrupting import interruptible
from penstock_migrations._command_line.verify import test_command_option, timeout_option

if TYPE_CHECKING:
    from penstock_migrations._proving.phase1 import Phase1

__all__ = ["phase1"]


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--write", "asked_to_write", is_flag=True, help="Write the files once they are verified on the copy.")
@click.option("--review", is_flag=True, help="Rewrite also what needs your review.")
@test_command_option
@timeout_option
@reports_option
@click.pass_context
def phase1(
    context: click.Context,
    path: Path,
    test_command: str | None,
    timeout: float,
    reports: Path,
    *,
    asked_to_write: bool,
    review: bool,
) -> None:
    """Bring PATH to the end of phase 1: audit, codemod, verify and gate, on a temporary copy.

    Shows the diff, what is left to you and why, and the gate's verdict; writes them to the reports folder. Exit
    status: 0 pass, 1 fail, 2 usage error, 3 inconclusive, as without your tests.
    """
    from penstock_migrations._command_line.gate import check_ledger, enter
    from penstock_migrations._command_line.output import console
    from penstock_migrations._command_line.phase1_report import print_report, save_report

    ledger = reports / "ledger.jsonl"
    check_ledger(ledger)
    with interruptible("nothing was written, your code is as it was"):
        result = _tried(context, path, test_command, timeout, reports, review=review)
    with interruptible("all files are written, or none"):
        written = asked_to_write and _written(result)
    entry = enter(ledger, path, result.judgement, trial=not written and bool(result.edits))
    try:
        save_report(reports, result, entry, written=written)
    except OSError as error:
        raise click.ClickException(f"the report cannot be written: {error}") from None
    print_report(console(), result, entry, written=written)
    click.echo(f"Report: {reports / 'phase1.txt'}, .json, .diff", err=True)
    context.exit(result.judgement.verdict.exit_status)


def _tried(
    context: click.Context, path: Path, test_command: str | None, timeout: float, reports: Path, *, review: bool
) -> Phase1:
    """Run the phase on the copy, showing on a terminal what is being done."""
    from penstock_migrations._command_line.output import console
    from penstock_migrations._proving.phase1 import run_phase1
    from penstock_migrations._proving.project_copy import CopyError
    from penstock_migrations._proving.user_tests import TestCommandError

    screen = console(stderr=True)
    settings = settings_for([path])
    try:
        with screen.status("Phase 1") as status:
            return run_phase1(
                path,
                settings,
                review=review,
                test_command=test_command,
                timeout=timeout,
                reports=reports,
                step=lambda text: status.update(f"{text} ..."),
            )
    except (CopyError, TestCommandError) as error:
        raise click.UsageError(str(error), context) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}; nothing was written") from None


def _written(result: Phase1) -> bool:
    """Write all files or none, if what verify saw allows it."""
    from penstock_migrations._rewriting.write import write_all

    if not result.verification.passed or not result.edits:
        return False
    try:
        write_all(result.edits)
    except OSError as error:
        raise click.ClickException(f"{error}. Nothing was written: your code is as it was") from None
    return True
