"""Runs of pytest in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUITES = Path(__file__).parent / "suites"
INI = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
asyncio_default_test_loop_scope = function
"""


@dataclass(frozen=True)
class Run:
    """What came of a run.

    Attributes:
        status: The exit status.
        text: What it wrote.
        report: The report file; None if there is none.
    """

    status: int
    text: str
    report: dict[str, Any] | None

    @property
    def accused(self) -> list[tuple[str, str]]:
        """The tests, by the last part of their names, and the checks; sorted."""
        assert self.report is not None, self.text
        return sorted((each["test"].rpartition("::")[2], each["check"]) for each in self.report["accusations"])

    def counts(self, outcome: str) -> int:
        """Return how many tests had an outcome: `passed`, `failed`."""
        found = re.search(rf"(\d+) {outcome}", self.text.splitlines()[-1])
        return int(found[1]) if found else 0


def run(folder: Path, source: str | Path, *arguments: str, ini: str = "", **environment: str) -> Run:
    """Run pytest on a test module.

    Args:
        folder: Where it is written to, as test_it.py.
        source: Its text, or a file to copy.
        arguments: The command line's.
        ini: What is added to the ini file.
        environment: What is added to the environment.
    """
    text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text(INI + ini, encoding="utf-8")
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    foreign = ("PENSTOCK_", "PYTEST_", "COV_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--penstock-guard-report={report}",
        *arguments,
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | {"COLUMNS": "120"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    written = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    return Run(done.returncode, done.stdout + done.stderr, written)
