"""What of a run is compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock_monitoring._perf.errors import PerfError
from penstock_monitoring._perf.run import Run

__all__ = ["MARGINS", "cost_of", "default_margins", "value_of"]

# The smallest change that matters, as a share. CPU time first: other work on the machine disturbs it least.
MARGINS: Final[Mapping[str, float]] = {
    "cpu": 0.1,
    "throughput": 0.1,
    "p50": 0.1,
    "p99": 0.25,
    "wall": 0.1,
    "attempts": 0.05,
}


# The field of a run that has it: of its operations if it marks any, else of all of it.
_OF_OPERATIONS: Final[Mapping[str, str]] = {
    "cpu": "cpu_per_operation",
    "throughput": "throughput",
    "p50": "p50",
    "p99": "p99",
    "wall": "wall_seconds",
}
_OF_THE_RUN: Final[Mapping[str, str]] = {"cpu": "cpu_seconds", "wall": "wall_seconds"}


def default_margins(run: Run) -> dict[str, float]:
    """Return what is judged of such runs unless something else is asked for."""
    names = ("cpu", "throughput", "p99", "attempts") if run.operations else ("cpu", "wall")
    return {name: MARGINS[name] for name in names}


def value_of(run: Run, metric: str) -> float | None:
    """Return a metric of a run: of its operations if it marks any; None if it has none."""
    if metric == "attempts":  # 1 where none fails, so that it can be compared by a ratio; the share that fails cannot
        return (run.operations + (run.failed or 0)) / run.operations if run.operations else None
    name = (_OF_OPERATIONS if run.operations else _OF_THE_RUN).get(metric)
    value: float | None = getattr(run, name) if name else None
    return value


def cost_of(run: Run, metric: str) -> float:
    """Return a metric of a run as a number above 0 of which more is worse.

    Raises:
        PerfError: The run has none.
    """
    value = value_of(run, metric)
    if value is None and not run.operations and metric not in _OF_THE_RUN:
        raise PerfError(f"a run has no {metric}: mark its operations with penstock_monitoring.measured")
    if not value:
        raise PerfError(f"a run has {'no' if value is None else '0 as its'} {metric}, which cannot be compared")
    return 1 / value if metric == "throughput" else value
