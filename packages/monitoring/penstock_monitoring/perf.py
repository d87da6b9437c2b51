"""Comparing what two programs cost, from Python: what `penstock perf compare` does to commands.

A run is whatever a callable says that it cost; `compare` calls it as often as a sequential test needs.
"""

from penstock_monitoring._perf.comparison import Comparison, MetricComparison, compare
from penstock_monitoring._perf.errors import BaselineError, PerfError, RunError
from penstock_monitoring._perf.run import Run, run_command
from penstock_monitoring._perf.sequential import Verdict

__all__ = [
    "BaselineError",
    "Comparison",
    "MetricComparison",
    "PerfError",
    "Run",
    "RunError",
    "Verdict",
    "compare",
    "run_command",
]
