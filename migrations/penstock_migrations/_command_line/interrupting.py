"""Ctrl-C, answered."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import click

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible(state: str) -> Iterator[None]:
    """Answer Ctrl-C with one line that says in which state the code is, and status 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {state}", err=True)
        sys.exit(130)
