"""What of a run is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from penstock_monitoring._perf.errors import PerfError
from penstock_monitoring._perf.run import Run

__all__ = ["MARGINS", "cost_of", "default_margins", "value_of"]

# The smallest change that matters, as a share. CPU time first: other work on the machine disturbs it least.
MARGINS: Final[Mapping[str, float]] = {"cpu": 0.1, "throughput": 0.1, "p50": 0.1, "p99": 0.25, "wall": 0.1}


@dataclass(frozen=True, slots=True)
class _Field:
    of_operations: str | None
    of_the_run: str | None


_FIELDS: Final[Mapping[str, _Field]] = {
    "cpu": _Field("cpu_per_operation", "cpu_seconds"),
    "throughput": _Field("throughput", None),
    "p50": _Field("p50", None),
    "p99": _Field("p99", None),
    "wall": _Field(None, "wall_seconds"),
}


def default_margins(run: Run) -> dict[str, float]:
    """Return what is judged of such runs unless something else is asked for."""
    names = ("cpu", "throughput", "p99") if run.operations else ("cpu", "wall")
    return {name: MARGINS[name] for name in names}


def value_of(run: Run, metric: str) -> float | None:
    """Return a metric of a run: of its operations if it marks any; None if it has none."""
    field = _FIELDS[metric]
    name = field.of_operations if run.operations and field.of_operations else field.of_the_run
    value: float | None = None if name is None else getattr(run, name)
    return value


def cost_of(run: Run, metric: str) -> float:
    """Return a metric of a run as a number above 0 of which more is worse.

    Raises:
        PerfError: The run has none.
    """
    value = value_of(run, metric)
    if not value:
        hint = "" if _FIELDS[metric].of_the_run else ": mark its operations with penstock_monitoring.measured"
        raise PerfError(f"a run has no {metric}{hint}")
    return 1 / value if metric == "throughput" else value
