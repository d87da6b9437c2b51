"""What limits and the monitor cost the demo is measured with real processes."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest
from penstock_monitoring.perf import RunError

from examples.demo import perf
from tests.docs.pages import ROOT


@pytest.mark.slow
def test_one_pair_of_each_proves_nothing_and_is_all_measured(tmp_path):
    """Off, enforced, and with the monitor: real figures, inconclusive, status 3; every process has ended."""
    command = [sys.executable, "-m", "examples.demo.perf", "--pairs", "1", "--evidence", str(tmp_path)]
    before = {each.pid for each in psutil.process_iter()}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    left = [each for each in psutil.process_iter(["cmdline"]) if each.pid not in before]

    assert done.returncode == 3, done.stdout + done.stderr
    for name in ("limits-enforced", "monitor-on"):
        found = json.loads((tmp_path / f"perf-{name}.json").read_text("utf-8"))
        assert found["verdict"] == "inconclusive"
        assert {each["metric"] for each in found["metrics"]} == {"cpu", "throughput"}
        (run,) = found["candidate"]
        assert run["failed"] == 0
        assert run["operations"] > 3 * perf.DOCUMENTS
        assert 0 < run["p50"] <= run["p99"]
    assert [each for each in left if set(each.info["cmdline"] or ()) & {"agents", "watched.py"}] == []


def test_what_cannot_be_measured_has_not_regressed(monkeypatch, capsys):
    """Status 3, and why."""

    async def fail(_pairs):
        raise RunError("a run has failed")

    monkeypatch.setattr(perf, "measure_all", fail)
    monkeypatch.setattr(sys, "argv", ["perf"])

    assert perf.main() == 3
    assert "a run has failed" in capsys.readouterr().out


@pytest.mark.parametrize("pairs", ["many", "0", "-1"])
def test_a_wrong_option_is_a_usage_error(pairs):
    """Before anything is run."""
    command = [sys.executable, "-m", "examples.demo.perf", "--pairs", pairs]

    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60).returncode == 2
