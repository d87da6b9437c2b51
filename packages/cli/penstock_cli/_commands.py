"""The group of commands that installed packages offer by the entry-point group `penstock.commands`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import click

__all__ = ["WELL_KNOWN", "Commands"]

GROUP = "penstock.commands"

# What to install when a command is missing: the one thing that a package which is not there cannot tell.
WELL_KNOWN: Mapping[str, str] = {
    "audit": "penstock-migrations",
    "baseline": "penstock-migrations",
    "codemod": "penstock-migrations",
    "explain": "penstock-migrations",
    "flags": "penstock-flags",
    "gate": "penstock-migrations",
    "perf": "penstock-monitoring",
    "phase1": "penstock-migrations",
    "top": "penstock-monitoring",
    "verify": "penstock-migrations",
}


class Commands(click.Group):
    """A click group whose commands are entry points, each loaded when it is called or when help asks what it does.

    A module that offers a command imports click and little else; what is heavy it imports when the command runs.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the installed commands, in alphabetical order."""
        return sorted(_offered())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; None when nothing is known by that name.

        Raises:
            click.ClickException: The command is known but not installed, or installed but broken.
        """
        if entry_point := _offered().get(cmd_name):
            return _load(entry_point)
        if distribution := WELL_KNOWN.get(cmd_name):
            ctx.fail(f"the command {cmd_name!r} is not installed; install it with: pip install {distribution}")
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write each installed command with its one line of help; a broken one says that it is broken."""
        offered = _offered()
        if offered:
            with formatter.section("Commands"):
                formatter.write_dl([(name, _short_help(offered[name])) for name in sorted(offered)])
        if missing := sorted({WELL_KNOWN[name] for name in WELL_KNOWN.keys() - offered.keys()}):
            formatter.write_paragraph()
            formatter.write_text(f"More commands: pip install {' '.join(missing)}")


def _offered() -> dict[str, EntryPoint]:
    return {entry_point.name: entry_point for entry_point in entry_points(group=GROUP)}


def _load(entry_point: EntryPoint) -> click.Command:
    distribution = entry_point.dist.name if entry_point.dist else "an unknown distribution"
    try:
        command = entry_point.load()
    except Exception as error:  # whatever its module does wrong
        raise _Broken(entry_point.name, distribution, f"{type(error).__name__}: {error}") from error
    if not isinstance(command, click.Command):
        raise _Broken(entry_point.name, distribution, f"{entry_point.value} is no click command")
    return command


def _short_help(entry_point: EntryPoint) -> str:
    try:
        return _load(entry_point).get_short_help_str(limit=200)  # the first sentence; the formatter wraps it
    except _Broken as error:
        return f"(cannot be loaded: {error.reason})"


class _Broken(click.ClickException):
    """A command is installed and cannot be loaded."""

    exit_code = 2  # the tool cannot be used; 1 would say that it found something

    def __init__(self, name: str, distribution: str, reason: str) -> None:
        super().__init__(f"the command {name!r} cannot be loaded: {reason}; reinstall {distribution}")
        self.reason = reason
