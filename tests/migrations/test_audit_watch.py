"""`--watch`: audited again after each change, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import click
import pytest
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._command_line.watching import snapshot, watched

from tests.migrations.reports import DEFECT


def test_does_it_again_after_each_change_only(tmp_path):
    """A file that is changed, comes or goes is a change; time passing is none."""
    done = []
    changes = iter(
        [
            lambda: None,
            lambda: (tmp_path / "one.py").write_text("x = 1\n"),
            lambda: (tmp_path / "two.py").write_text(""),
            lambda: None,
            lambda: (tmp_path / "one.py").unlink(),
            lambda: (tmp_path / "penstock.toml").write_text(""),
        ]
    )

    def wait(_seconds):
        change = next(changes, None)
        if change is None:
            raise KeyboardInterrupt
        change()

    (tmp_path / "one.py").write_text("")
    with pytest.raises(KeyboardInterrupt):
        watched(lambda: done.append(1), lambda: snapshot([tmp_path], Settings()), wait)

    assert len(done) == 5


def test_a_usage_error_is_told_and_may_be_mended(capsys):
    """The watch goes on."""
    states = iter([{}, {}, {"changed": 1}, {}])
    outcomes = iter([click.UsageError("wrong setting"), None])

    def once():
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    with pytest.raises(StopIteration):
        watched(once, lambda: next(states), lambda _seconds: None)

    assert "wrong setting" in capsys.readouterr().err


def test_ends_cleanly_on_ctrl_c(tmp_path):
    """The report is shown, and the status is 130."""
    (tmp_path / "one.py").write_text(DEFECT)
    program = "from penstock_migrations.commands import audit; audit(['.', '--watch'])"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        cwd=tmp_path,
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "watching" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    shown, said = process.communicate()

    assert process.returncode == 130
    assert "one.py:4:11 PEN101" in shown
    assert said == "Interrupted: no longer watching.\n"
