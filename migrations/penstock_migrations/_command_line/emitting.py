"""From paths to a report, compared with what is known, and from a report to the screen or a file."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click

from penstock_migrations._auditing.audit import Report
from penstock_migrations._auditing.files import discover
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._counted import counted
from penstock_migrations._reporting.baseline import Baseline, BaselineError, Entry, relative_to
from penstock_migrations._reporting.changed_lines import ChangedLines, GitError
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import Sources
from penstock_migrations._rewriting.write import write_atomically
from penstock_migrations.rule import Finding, Severity

__all__ = ["FORMATS", "emit", "examined", "in_baseline", "known_of"]

FORMATS = {
    "text": "text",
    "json": "json_object",
    "sarif": "sarif",
    "github": "github",
    "markdown": "markdown",
    "html": "html_page",
}


def examined(
    paths: Sequence[Path],
    settings: Settings,
    *,
    run: Callable[[Sequence[Path], Settings], Report],
    baseline: Path | None = None,
    since: str | None = None,
) -> tuple[Report, Context]:
    """Audit, and leave out what the baseline knows and what has not changed.

    Raises:
        click.UsageError: The baseline is none, or git does not know the revision.
    """
    known = None if baseline is None else known_of(baseline)
    changed = None if since is None else _changed(since, paths)
    sources = Sources(paths)
    trend = None
    if known is None or baseline is None:
        report = run(paths, settings)
    else:
        # Of the least severity: else what the option leaves out would count as fixed.
        report = run(paths, dataclasses.replace(settings, severity=Severity.LOW))
        path = in_baseline(baseline, sources)
        trend = known.compare(report.findings, path, _was_audited(baseline.absolute().parent, paths, settings, report))
        report = _with(report, [each for each in trend.new if settings.reports(each.code, each.severity)])
    if changed is not None:
        report = _with(report, [each for each in report.findings if _concerns(changed, each, sources)])
    if trend is not None and baseline is not None:
        folder = baseline.absolute().parent
        fixed = tuple(
            dataclasses.replace(each, path=relative_to(Path.cwd(), folder / each.path)) for each in trend.fixed
        )
        trend = dataclasses.replace(trend, new=report.findings, fixed=fixed)
    return report, Context(paths=tuple(paths), sources=sources, baseline=baseline, trend=trend, since=since)


def emit(report: Report, context: Context, form: str, output: Path | None) -> None:
    """Show a report, or write it to a file.

    Raises:
        click.UsageError: The file cannot be written.
    """
    if output is not None:
        try:
            write_atomically(output, _encoded(report, context, form, "utf-8"))
        except OSError as error:
            raise click.UsageError(f"--output {output}: {error}") from None
        click.echo(f"{counted(len(report.findings), 'finding')}. Report: {output}", err=True)
    elif form == "text" and sys.stdout.isatty():
        from rich.console import Console

        from penstock_migrations._reporting.terminal import show

        show(report, context, Console(highlight=False, soft_wrap=True, markup=False, emoji=False))
    else:
        encoding = (sys.stdout.encoding or "utf-8") if form == "text" else "utf-8"
        click.echo(_encoded(report, context, form, encoding), nl=False)


def known_of(file: Path) -> Baseline:
    """Read a baseline.

    Raises:
        click.UsageError: It is none.
    """
    try:
        return Baseline.read(file)
    except BaselineError as error:
        raise click.UsageError(str(error)) from None


def in_baseline(baseline: Path, sources: Sources) -> Callable[[Finding], str]:
    """Return what tells the path of a finding as a baseline's file keeps it."""
    folder = baseline.absolute().parent

    def path(finding: Finding) -> str:
        file = sources.file(finding.path)
        return finding.path if file is None else relative_to(folder, file.absolute())

    return path


def _encoded(report: Report, context: Context, form: str, encoding: str) -> bytes:
    module = import_module(f"penstock_migrations._reporting.{FORMATS.get(form, form)}")
    text: str = module.render(report, context)
    return f"{text}\n".encode(encoding, "backslashreplace")


def _with(report: Report, findings: Sequence[Finding]) -> Report:
    return dataclasses.replace(report, findings=tuple(findings))


def _changed(since: str, paths: Sequence[Path]) -> ChangedLines:
    try:
        return ChangedLines.since(since, paths)
    except GitError as error:
        raise click.UsageError(f"--diff {since}: {error}") from None


def _concerns(changed: ChangedLines, finding: Finding, sources: Sources) -> bool:
    file = sources.file(finding.path)
    return file is not None and changed.concern(finding, file)


def _was_audited(folder: Path, paths: Sequence[Path], settings: Settings, report: Report) -> Callable[[Entry], bool]:
    """Return what says whether an entry would have been found if it were still there."""
    unread = {one.path for one in report.unreadable}
    files = discover(paths, settings.exclude, settings.include)
    audited = {one.file.resolve() for one in files if one.shown not in unread}
    roots = [path.resolve() for path in paths]

    def was_audited(entry: Entry) -> bool:
        file = (folder / entry.path).resolve()
        gone = not file.exists() and any(file.is_relative_to(root) for root in roots)
        return settings.wants(entry.code) and (file in audited or gone)

    return was_audited
