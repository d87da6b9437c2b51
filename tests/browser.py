"""A real browser without a window or a network: what a page is once its scripts have run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["dom", "needs_browser", "started"]

_BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
needs_browser = pytest.mark.skipif(_BROWSER is None, reason="needs chromium, to open the page")


def dom(address: str, profile: Path) -> str:
    """Return the document at an address after up to nine seconds of the page's own time."""
    command = [
        str(_BROWSER),
        *_QUIET,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=9000",
        "--dump-dom",
        address,
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert shown.stdout, shown.stderr
    return shown.stdout


def started(profile: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a browser that goes on until it is ended."""
    command = [str(_BROWSER), *_QUIET, f"--user-data-dir={profile}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
