"""The command `penstock top`; what it needs is imported when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from penstock_monitoring._view.look import SORTS, Look

__all__ = ["top"]


@click.command()
@click.argument("target", required=False)
@click.option("--once", is_flag=True, help="Print everything once and exit; where the output is no terminal, too.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5, max=60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--sort", type=click.Choice(SORTS), default="use", show_default=True, help="What is first.")
@click.option("--filter", "words", default="", metavar="WORDS", help="Only what has all these words.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Holds the token that serve() was given; without it, the variable PENSTOCK_TOKEN does.",
)
@click.pass_context
def top(
    context: click.Context,
    target: str | None,
    once: bool,
    interval: float,
    sort: str,
    words: str,
    token_file: Path | None,
) -> None:
    """Show the limits, pools, breakers and tasks of a running process.

    TARGET is its number, a port of this machine, host:port or a URL; without one, it is the only process of yours that
    serves a live view.

    Keys: q quits, p pauses, s sorts by the next column, r turns the order round, / filters, tab shows resources or
    tasks alone, arrows and page keys scroll.

    Exit status: 0, with --once 1 if an alert is active, 2 if there is nothing to be seen.
    """
    from rich.console import Console

    from penstock_monitoring._view import top as view
    from penstock_monitoring._view.keys import available
    from penstock_monitoring._view.source import NotToBeSeenError, Source, find

    console = Console(highlight=False, markup=False, emoji=False, width=None if _has_width() else view.WIDE)
    look = Look(sort=sort, filter=words)
    try:
        source = Source(find(target), _token(token_file))
        if once:
            context.exit(view.once(source, look, interval, console))
        if not available():
            raise click.UsageError("this needs a terminal; without one, use --once", context)
        view.watch(source, look, interval, console)
    except NotToBeSeenError as error:
        raise _NotToBeSeen(str(error)) from None


def _has_width() -> bool:
    return sys.stdout.isatty() or bool(os.environ.get("COLUMNS"))


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("PENSTOCK_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {type(error).__name__}") from None


class _NotToBeSeen(click.ClickException):
    exit_code = 2  # 1 would say that an alert is active
