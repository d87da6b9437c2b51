"""What holds on asyncio's loop holds on uvloop's: this folder's tests, run there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvloop", reason="NOT CHECKED ON UVLOOP: it is not installed")

HERE = Path(__file__).parent
AT_LEAST = ["test_limiter.py", "test_limiter_asking.py", "test_limiter_threads.py", "test_gather.py", "test_policy.py"]


def on_uvloop(files: list[Path]) -> tuple[int, str]:
    """Run files of tests on uvloop; return the exit status and the report."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *map(str, files)]
    ended = subprocess.run(
        command,
        env=os.environ | {"TEST_EVENT_LOOP": "uvloop"},
        cwd=HERE.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    return ended.returncode, ended.stdout


def test_the_heart_of_it_holds_on_uvloop() -> None:
    """Limits, fan-outs, threads and policies."""
    status, report = on_uvloop([HERE / name for name in AT_LEAST])

    assert status == 0, report


@pytest.mark.slow
def test_everything_holds_on_uvloop() -> None:
    """Every other test of this folder."""
    files = [file for file in sorted(HERE.glob("test_*.py")) if file != Path(__file__)]

    status, report = on_uvloop([file for file in files if file.name not in AT_LEAST])

    assert status == 0, report
