"""`penstock baseline`: what a project has agreed to live with for now, and what has come and gone since."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from penstock_migrations._command_line.audit import audited, settings_for
from penstock_migrations._command_line.emitting import examined, in_baseline, known_of
from penstock_migrations._command_line.interrupting import interruptible
from penstock_migrations._counted import counted
from penstock_migrations._reporting.baseline import Baseline, relative_to
from penstock_migrations._reporting.sources import printable
from penstock_migrations._rewriting.write import write_atomically

__all__ = ["baseline"]

_paths = click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path)
)
_file = click.option(
    "--baseline",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("penstock-baseline.json"),
    show_default=True,
    help="The baseline's file.",
)


@click.group()
def baseline() -> None:
    """Keep the findings that a project lives with for now, so that only new ones are reported.

    `penstock audit PATH... --baseline FILE` leaves out what the file knows. The file only ever gets shorter, unless you
    say --allow-new. Findings are known by what they are, not by their lines.
    """


@baseline.command()
@_paths
@_file
@click.option("--allow-new", is_flag=True, help="Also take up findings that the file does not know.")
def update(paths: tuple[Path, ...], file: Path, *, allow_new: bool) -> None:
    """Take what is fixed out of FILE; make FILE if it does not exist.

    Exit status: 0 done, 1 there are new findings, which were not taken up, 2 usage error.
    """
    settings = settings_for(paths)
    with interruptible("the baseline is as it was."):
        if not file.exists():
            report, context = examined(paths, settings, run=audited)
            made = Baseline.of(report.findings, in_baseline(file, context.sources))
            _write(file, made)
            click.echo(f"{file}: {counted(len(made), 'finding')} to begin with.")
            return
        known = known_of(file)
        report, context = examined(paths, settings, run=audited, baseline=file)
        folder = file.absolute().parent
        shown = context.trend.fixed if context.trend else ()
        fixed = [replace(each, path=relative_to(folder, Path.cwd() / each.path)) for each in shown]
        left = known.without(fixed)
        if allow_new:
            left = left.with_also(Baseline.of(report.findings, in_baseline(file, context.sources)))
        if left.to_json() != known.to_json():
            _write(file, left)
    gone, new = len(known) - len(known.without(fixed)), len(report.findings)
    click.echo(f"{file}: {counted(len(left), 'finding')}; {gone} fixed, {new if allow_new else 0} new.")
    if new and not allow_new:
        refused = f"{counted(new, 'new finding')} not taken up: mend them, or say --allow-new."
        click.echo(f"{refused} penstock audit {_joined(paths)} --baseline {file} shows them.", err=True)
        sys.exit(1)


@baseline.command()
@_paths
@_file
def show(paths: tuple[Path, ...], file: Path) -> None:
    """Show what is new, still there and fixed since FILE was written.

    Exit status: 0 nothing is new, 1 there are new findings, 2 usage error.
    """
    with interruptible("nothing was changed."):
        report, context = examined(paths, settings_for(paths), run=audited, baseline=file)
    trend = context.trend
    known, fixed = (trend.known, trend.fixed) if trend else ((), ())
    for finding in report.findings:
        click.echo(f"new    {printable(finding.path)}:{finding.line}: {finding.code} {printable(finding.message)}")
    for finding in known:
        click.echo(f"still  {printable(finding.path)}:{finding.line}: {finding.code} {printable(finding.message)}")
    for entry in fixed:
        click.echo(f"fixed  {printable(entry.path)}: {entry.code} in {entry.function or 'the module'}")
    gone = sum(entry.count for entry in fixed)
    click.echo(f"{len(report.findings)} new, {len(known)} still, {gone} fixed.")
    if gone:
        click.echo(f"Keep them fixed: penstock baseline update {_joined(paths)} --baseline {file}")
    sys.exit(1 if report.findings else 0)


def _joined(paths: tuple[Path, ...]) -> str:
    return " ".join(map(str, paths))


def _write(file: Path, content: Baseline) -> None:
    try:
        write_atomically(file, content.to_json().encode())
    except OSError as error:
        raise click.UsageError(f"{file}: {error}") from None
