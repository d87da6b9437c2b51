"""A real distribution on the import path, with the commands that a test writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Penstock = Callable[..., "subprocess.Popen[str]"]

SITE = """
import signal, sys, click

@click.command()
@click.argument("status", type=int)
@click.pass_context
def leave(ctx, status):
    '''Leave with a status.'''
    ctx.exit(status)

@click.command()
@click.argument("status", type=int)
def quit(status):
    '''Leave the way a plain program does.'''
    sys.exit(status)

@click.command()
def wait():
    '''Wait for Ctrl-C.'''
    click.echo("waiting")
    signal.pause()

@click.command()
def ask():
    '''Ask for consent.'''
    click.confirm("sure?", abort=True)

not_a_command = 42
"""

ENTRY_POINTS = """
[penstock.commands]
ask = site_commands:ask
broken = site_commands_that_are_not_there:broken
leave = site_commands:leave
odd = site_commands:not_a_command
quit = site_commands:quit
wait = site_commands:wait
"""


@pytest.fixture
def penstock(tmp_path: Path) -> Penstock:
    """Start `penstock` with one more distribution installed, `site-commands`, beside the workspace's own."""
    (tmp_path / "site_commands.py").write_text(SITE)
    information = tmp_path / "site_commands-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: site-commands\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)

    path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock_cli", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
