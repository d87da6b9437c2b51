"""The commands `audit` and `explain`."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from penstock_migrations._auditing.audit import Report, audit
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings, SettingsError
from penstock_migrations._auditing.workers import WorkerError
from penstock_migrations._command_line.emitting import FORMATS, emit, examined
from penstock_migrations._command_line.interrupting import interruptible
from penstock_migrations._command_line.watching import snapshot, watched
from penstock_migrations.rule import Rule, Severity

__all__ = ["audit_command", "audited", "explain_command", "settings_for"]


class Selectors(click.ParamType[Any]):
    """Codes or issue numbers, separated by commas."""

    name = "codes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split and check what was given."""
        found = tuple(item.strip().upper() for item in str(value).split(",") if item.strip())
        codes = [rule.code for rule in rules()]
        wrong = [item for item in found if item not in codes and not re.fullmatch("[1-8]", item)]
        if wrong or not found:
            listed = ", ".join(codes)
            self.fail(
                f"{', '.join(wrong) or 'nothing'} is neither a code ({listed}) nor an issue number (1 to 8).",
                param,
                ctx,
            )
        return found


@click.command("audit")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option("--fracas", is_flag=True, help="Write failure records, one for each critical issue found, in Markdown.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to a file, whole or not at all.",
)
@click.option("--select", type=Selectors(), help="Report only these: PEN101,2.")
@click.option("--ignore", type=Selectors(), help="Do not report these: PEN102,8.")
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Leave out files and folders: a name or a path; repeatable."
)
@click.option(
    "--severity",
    type=click.Choice([one.value for one in Severity]),
    help="The least severity to report; low, the default, is advice.",
)
@click.option(
    "--baseline",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Report only what this file does not know; see penstock baseline.",
)
@click.option("--diff", "since", metavar="REVISION", help="Report only lines changed since a git revision.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes may examine files; by default all cores.",
)
@click.option("--watch", is_flag=True, help="Audit again whenever a file changes, until Ctrl-C.")
@click.pass_context
def audit_command(
    context: click.Context,
    /,
    paths: tuple[Path, ...],
    form: str,
    output: Path | None,
    baseline: Path | None,
    since: str | None,
    jobs: int | None,
    *,
    fracas: bool,
    watch: bool,
    **options: Any,
) -> None:
    """Find concurrency defects in Python files and folders.

    Exit status: 0 clean, 1 findings, 2 usage error. What cannot be read is listed and does not stop the run. Settings
    come from [tool.penstock.audit] in pyproject.toml, or [audit] in penstock.toml. A comment leaves one place out:
    # penstock: ignore[PEN101] reason
    """
    if fracas and context.get_parameter_source("form") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("--fracas has its own format: give either --fracas or --format.")
    if output is not None and not output.absolute().parent.is_dir():
        raise click.UsageError(f"--output {output}: there is no folder {output.parent}")

    def once() -> int:
        settings = settings_for(paths, **options)
        report, shown = examined(paths, settings, run=partial(audited, jobs=jobs), baseline=baseline, since=since)
        emit(report, shown, "fracas" if fracas else form, output)
        return 1 if report.findings else 0

    if watch:
        files = tuple(file for file in (baseline,) if file is not None)
        with interruptible("no longer watching."):
            watched(once, lambda: snapshot(paths, settings_for(paths, **options), files))
    with interruptible("the audit has not finished, nothing was changed."):
        sys.exit(once())


@click.command("explain")
@click.argument("code")
def explain_command(code: str) -> None:
    """Explain a rule: what it does, why that is bad, what to use instead."""
    from penstock_migrations._command_line.audit_report import print_rule

    print_rule(_rule(code))


def settings_for(paths: Sequence[Path], **options: Any) -> Settings:
    """Read the settings that hold for the first path, and let the command's options go before them.

    Raises:
        click.UsageError: A setting is wrong.
    """
    try:
        settings = Settings.load(paths[0])
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    given = {name: value for name, value in options.items() if value}
    if "exclude" in given:
        given["exclude"] = (*settings.exclude, *given["exclude"])
    if "severity" in given:
        given["severity"] = Severity(given["severity"])
    return dataclasses.replace(settings, **given)


def audited(paths: Sequence[Path], settings: Settings, *, jobs: int | None = None) -> Report:
    """Audit, and show on a terminal how far it is.

    Raises:
        click.UsageError: A process was ended from outside; fewer may do.
    """
    try:
        if not sys.stderr.isatty():
            return audit(paths, settings, jobs=jobs or _cores())
        from penstock_migrations._command_line.audit_report import progress_bar

        with progress_bar("Auditing") as progress:
            return audit(paths, settings, jobs=jobs or _cores(), progress=progress)
    except WorkerError as error:
        raise click.UsageError(str(error)) from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rule(code: str) -> Rule:
    wanted = code.strip().upper()
    for rule in rules():
        if wanted in (rule.code, rule.name.upper()):
            return rule
    known = ", ".join(f"{rule.code} ({rule.name})" for rule in rules())
    raise click.UsageError(f"There is no rule {code!r}. Known: {known}.")
