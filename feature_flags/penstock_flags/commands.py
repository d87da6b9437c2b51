"""`penstock flags list | set | lint | init`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import click

from penstock_flags._declaration import MODES, Declaration, Mode
from penstock_flags._document import describe, serves_everyone
from penstock_flags._errors import FlagsError, FlagsExistError, InvalidFlagsError
from penstock_flags._project import DIRECTORY, Project
from penstock_flags._writer import initialize, set_mode

__all__ = ["flags"]


def _project(ctx: click.Context, _parameter: click.Parameter, directory: Path | None) -> Project | None:
    if ctx.resilient_parsing:
        return None
    try:
        project = Project.find(directory)
    except FlagsError as error:
        raise click.UsageError(str(error), ctx) from None
    if project is None:
        raise click.UsageError(
            f"no {DIRECTORY}/flags.toml in this folder or above; name the folder with --directory or "
            "PENSTOCK_FLAGS_DIRECTORY, or write one with: penstock flags init",
            ctx,
        )
    return project


_in_directory: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--directory",
    "project",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_project,
    help=f"The folder with flags.toml; by default $PENSTOCK_FLAGS_DIRECTORY, else the nearest {DIRECTORY}/.",
)


@click.group()
def flags() -> None:
    """List, set and lint the flags that switch each capability.

    Exit status: 0 done or clean, 1 something in a file is wrong, 2 usage.
    """
    if os.environ.get("LAUNCHDARKLY_SDK_KEY"):
        click.echo("note: with LAUNCHDARKLY_SDK_KEY set, programs follow LaunchDarkly and not these files", err=True)


@flags.command("list")
@_in_directory
@click.option("--env", "environment", metavar="ENV", help="Only this environment.")
@click.pass_context
def list_flags(ctx: click.Context, project: Project, environment: str | None) -> None:
    """Show each flag's mode in each environment."""
    environments = _chosen(ctx, project, environment)
    problems = project.lint(environments)
    declarations: dict[str, Declaration] = {}
    documents: dict[str, Mapping[str, Any] | None] = {}
    try:
        declarations = project.declarations()
    except InvalidFlagsError:
        environments = []
    for name in environments:
        try:
            documents[name] = project.read(name, declarations)["flags"]
        except InvalidFlagsError:
            documents[name] = None
    _print_table(declarations, documents)
    _leave(ctx, problems)


@flags.command("set")
@click.argument("flag")
@click.argument("mode", type=click.Choice(MODES))
@click.option("--env", "environment", metavar="ENV", required=True, help="The environment to set it in.")
@click.option(
    "--percent",
    type=click.FloatRange(0, 100),
    default=100.0,
    show_default=True,
    help="The share of instances that get it; the others keep the mode they have now.",
)
@_in_directory
@click.pass_context
def set_flag(ctx: click.Context, project: Project, flag: str, mode: str, environment: str, percent: float) -> None:
    """Set FLAG to MODE in one environment; running programs follow within a second."""
    try:
        change = set_mode(project, environment, flag, cast("Mode", mode), percent=percent)
    except InvalidFlagsError as error:
        click.echo("nothing written, the files are wrong already:", err=True)
        _leave(ctx, list(error.problems))
    except (LookupError, ValueError) as error:
        raise click.UsageError(str(error), ctx) from None
    except (FlagsError, OSError) as error:
        raise click.ClickException(f"nothing written: {error}") from None
    else:
        click.echo(f"{flag} in {environment}: {change.before} -> {change.after}")


@flags.command()
@_in_directory
@click.option("--env", "environment", metavar="ENV", help="Only this environment.")
@click.pass_context
def lint(ctx: click.Context, project: Project, environment: str | None) -> None:
    """Report everything that is wrong in flags.toml and the environments' files."""
    environments = _chosen(ctx, project, environment)
    problems = project.lint(environments)
    if not problems:
        click.echo(f"{project.directory}: {len(environments)} environments, nothing wrong")
    _leave(ctx, problems)


@flags.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(DIRECTORY),
    show_default=True,
    help="The folder to write into.",
)
@click.pass_context
def init(ctx: click.Context, directory: Path) -> None:
    """Write flags.toml and four environments, every flag off."""
    try:
        written = initialize(directory)
    except FlagsExistError as error:
        raise click.UsageError(str(error), ctx) from None
    except OSError as error:
        raise click.ClickException(f"nothing written: {error}") from None
    for path in written:
        click.echo(f"wrote {path}")
    click.echo("next: penstock flags set bounded-fanout observe --env development")


def _chosen(ctx: click.Context, project: Project, environment: str | None) -> list[str]:
    if environment is None:
        return list(project.environments)
    try:
        project.environment_file(environment)
    except FlagsError as error:
        raise click.UsageError(str(error), ctx) from None
    return [environment]


def _print_table(declarations: Mapping[str, Declaration], documents: Mapping[str, Mapping[str, Any] | None]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    remarks = {key: _remark(documents, key) for key in declarations}
    headings = ["flag", "phase", *documents, *(["remark"] if any(remarks.values()) else [])]
    table = Table(*headings, box=box.SIMPLE_HEAD)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    for key, declaration in declarations.items():
        cells = [_cell(document, key) for document in documents.values()]
        table.add_row(*[key, str(declaration.phase), *cells, remarks[key]][: len(headings)])
    Console().print(table)


def _cell(document: Mapping[str, Any] | None, key: str) -> str:
    if document is None:
        return "unreadable"
    return describe(document[key]) if key in document else "missing"


def _remark(documents: Mapping[str, Mapping[str, Any] | None], key: str) -> str:
    """A flag that enforces for everyone, everywhere, has served: the code can do without it."""
    flags = [(document or {}).get(key) for document in documents.values()]
    served = len(flags) > 1 and all(flag is not None and serves_everyone(flag, "enforce") for flag in flags)
    return "stale: enforced everywhere" if served else ""


def _leave(ctx: click.Context, problems: list[Any]) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)
    ctx.exit(1 if problems else 0)
