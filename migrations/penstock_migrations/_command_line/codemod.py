"""`penstock codemod`: show what would be rewritten, or rewrite it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock_migrations._command_line.audit import Selectors, settings_for
from penstock_migrations._command_line.interrupting import interruptible
from penstock_migrations._counted import counted

if TYPE_CHECKING:
    from penstock_migrations._auditing.settings import Settings
    from penstock_migrations._rewriting.codemod import Plan

__all__ = ["codemod", "reports_option"]

reports_option = click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("penstock-reports"),
    show_default=True,
    help="Folder for reports and the ledger.",
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--select", type=Selectors(), help="Mend only these: PEN101,2.")
@click.option("--write", is_flag=True, help="Write the files, atomically; without it the diff is shown.")
@click.option("--review", is_flag=True, help="Rewrite also what needs your review.")
@reports_option
@click.pass_context
def codemod(
    context: click.Context,
    paths: tuple[Path, ...],
    select: tuple[str, ...] | None,
    *,
    write: bool,
    review: bool,
    reports: Path,
) -> None:
    """Rewrite what the audit finds in PATH, and say what is left.

    Shows a diff that `patch -p1` applies. Exit status: 0 nothing left to do, 1 findings remain, 2 usage error.
    """
    from penstock_migrations._command_line.output import console, print_diff, print_left, print_lines
    from penstock_migrations._rewriting.codemod import plan
    from penstock_migrations._rewriting.project import project_root

    screen, notes = console(), console(stderr=True)
    with interruptible("nothing was written"), notes.status("Auditing, and planning the rewrite ..."):
        settings = settings_for(paths, select=select)
        planned = plan(paths, settings, review=review)
    if write:
        with interruptible("each file is as it was or wholly rewritten; run again for the rest"):
            _write(planned, settings, project_root(paths[0]), reports)
        print_lines(screen, (f"rewrote {each.path} ({each.purpose})" for each in planned.edits))
    else:
        print_diff(screen, planned.edits)
    print_left(notes if not write and not screen.is_terminal else screen, planned.left)
    print_lines(notes, [f"{each.path}: {each.reason}" for each in planned.report.unreadable] + planned.notes)
    print_lines(notes, [_summary(planned, write=write)])
    done = write or not planned.edits
    context.exit(0 if done and not planned.remaining else 1)


def _write(planned: Plan, settings: Settings, root: Path, reports: Path) -> None:
    """Write each file for itself: one that cannot be written is left, and said, and the others go on."""
    from penstock_migrations._proving.verify import Snapshot
    from penstock_migrations._rewriting.codemod import Left
    from penstock_migrations._rewriting.write import WriteError, write_all, write_atomically

    written = []
    for edit in planned.edits:
        try:
            write_all([edit])
            written.append(edit)
        except WriteError as error:
            stale = [each for each in planned.mended if each.path == edit.path]
            planned.mended = [each for each in planned.mended if each.path != edit.path]
            reason = str(error).removeprefix(f"{edit.path}: ")
            planned.left += [Left(edit.path, reason, each) for each in stale] or [Left(edit.path, reason)]
    planned.edits = written
    if written:
        reports.mkdir(parents=True, exist_ok=True)
        changed = (each.file for each in written)
        snapshot = Snapshot.of(planned.report.findings, planned.mended, changed, planned.files, root, settings.select)
        write_atomically(reports / "codemod.json", snapshot.to_json().encode())


def _summary(planned: Plan, *, write: bool) -> str:
    if not planned.edits and not planned.left:
        return f"Nothing to do: {counted(planned.report.files, 'file')} audited."
    verb = "Mended" if write else "Would mend"
    mended, files = counted(len(planned.mended), "finding"), counted(len(planned.edits), "file")
    counts = f"{mended} in {files}, {len(planned.remaining)} left to you."
    return f"{verb} {counts}" + ("" if write or not planned.edits else " Run again with --write to write it.")
