"""Prometheus and its judge of rules, promtool, of Debian's package: as installed, or fetched for the tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["find"]

_PATIENCE = 120  # seconds


def find(program: str, folder: Path) -> str:
    """Return where a program is; if it is not installed, unpack Debian's package into a folder, or skip the test."""
    return shutil.which(program) or _fetched(program, folder)


def _fetched(program: str, folder: Path) -> str:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip(f"needs {program}, of the package prometheus")
    downloaded = subprocess.run(
        ["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, text=True, timeout=_PATIENCE
    )
    if downloaded.returncode != 0:
        pytest.skip(f"needs {program}, of the package prometheus, which cannot be fetched: {downloaded.stderr.strip()}")
    (package,) = folder.glob("prometheus_*.deb")
    subprocess.run(["dpkg", "-x", package, folder], check=True, timeout=_PATIENCE)
    return str(folder / "usr/bin" / program)
