"""A pytest plugin that writes down how each test ended, and which files were loaded. It needs nothing but pytest."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

_ended: dict[str, list[str]] = {}


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note what could not be collected, or was skipped as a whole."""
    if report.outcome != "passed":
        _ended[report.nodeid] = [f"not collected ({report.outcome})", _reason(report)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test ended; an error of a fixture goes before what the test itself said."""
    if report.when == "call" or report.outcome != "passed":
        outcome = report.outcome if report.when == "call" or report.outcome == "skipped" else "error"
        expected = " as expected" if hasattr(report, "wasxfail") else ""
        _ended[report.nodeid] = [outcome + expected, _reason(report)]


def pytest_sessionfinish() -> None:
    """Write all of it to the file that the environment names."""
    loaded = sorted({file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))})
    record = json.dumps({"ended": _ended, "loaded": loaded})
    Path(os.environ["PENSTOCK_REALWORLD_RECORD"]).write_text(record, encoding="utf-8")


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the last line of what a report says, which names the reason."""
    if report.outcome == "passed":
        return ""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "Exception" in line]
    return (errors or lines or [""])[-1]
