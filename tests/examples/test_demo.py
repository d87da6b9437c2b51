"""The demo from beginning to end, as `nox -s demo` runs it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from examples.demo._programs import ROOT

PATIENCE = 600  # seconds: far longer than it takes, so that a slow machine fails no test


@contextlib.contextmanager
def demo(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo in a session of its own, with a folder of its own for what is temporary."""
    environment = os.environ | {"TMPDIR": str(folder), "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_every_claim_holds(tmp_path):
    """It ends with status 0, shows the table, and writes the report; nothing else is left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with demo("--report", str(tmp_path / "demo.html"), folder=temporary) as process:
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, output
    assert "FAILS" not in output
    assert "peak" in output
    assert re.search(r"All \d+ claims hold", (tmp_path / "demo.html").read_text("utf-8"))
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("after", ["Gate, too early", "Load, not migrated"])
def test_ctrl_c_ends_every_process_and_removes_the_copies(tmp_path, after):
    """Interrupted while the agents' tests run, or while the agents themselves do, it leaves nothing behind."""
    with demo(folder=tmp_path) as process:
        assert any(after in line for line in process.stdout)
        while len(children := psutil.Process(process.pid).children(recursive=True)) < 2:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)

    gone = [child for child in children if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE]
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert gone == children
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_option_is_a_usage_error(tmp_path):
    """The error says what is allowed, and nothing has been started."""
    with demo("--size", "3", folder=tmp_path) as process:
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2
    assert "--report" in output
    assert list(tmp_path.iterdir()) == []
