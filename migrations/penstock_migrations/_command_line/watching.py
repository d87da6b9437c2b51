"""Does something again whenever a file has changed."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import click

from penstock_migrations._auditing.files import discover
from penstock_migrations._auditing.settings import Settings, settings_file

__all__ = ["snapshot", "watched"]

_SECONDS = 1.0
Snapshot = dict[Path, tuple[int, int]]


def snapshot(paths: Sequence[Path], settings: Settings, files: Iterable[Path] = ()) -> Snapshot:
    """Return the time and the size of each file that an audit of these paths reads, and of others."""
    seen: Snapshot = {}
    audited = [one.file for one in discover(paths, settings.exclude, settings.include)]
    told = settings_file(paths[0])
    for file in [*audited, *files, *([told] if told else [])]:
        with contextlib.suppress(OSError):  # it is gone, which shows by its absence
            status = file.stat()
            seen[file] = (status.st_mtime_ns, status.st_size)
    return seen


def watched(
    once: Callable[[], object], look: Callable[[], Snapshot], wait: Callable[[float], None] = time.sleep
) -> NoReturn:
    """Do something now, and again after each change, until Ctrl-C; a usage error is told and may be mended.

    Args:
        once: What to do.
        look: Returns the files as they are.
        wait: Waits so many seconds.
    """
    while True:
        before = _state(look)
        try:
            once()
        except click.UsageError as error:
            error.show()
        click.echo(f"-- {datetime.datetime.now().astimezone():%H:%M:%S} watching; Ctrl-C ends it --", err=True)
        while _state(look) == before:
            wait(_SECONDS)


def _state(look: Callable[[], Snapshot]) -> Snapshot | str:
    try:
        return look()
    except click.UsageError as error:
        return str(error)
