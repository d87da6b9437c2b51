"""All metrics, what of the statistics is none, and how many series one may have."""

from __future__ import annotations

from typing import Final

from penstock_monitoring._registry import alerts, calls, connections, limits, process, work
from penstock_monitoring._registry.metric import Metric

__all__ = ["FAMILIES", "LEFT_OUT", "METRICS", "OTHER", "SERIES", "metric_of"]

SERIES: Final = 1000  # of one metric; the names beyond are counted under OTHER
OTHER: Final = "other"

METRICS: Final[tuple[Metric, ...]] = (
    *limits.LIMITER,
    *limits.ADAPTIVE,
    *limits.RATE,
    *calls.BREAKER,
    *calls.RETRY,
    *calls.RETRY_BUDGET,
    *calls.HEDGE,
    *calls.POLICY,
    *connections.POOL,
    *connections.CLIENT,
    *connections.CONNECT,
    *work.TASKS,
    *work.THREADS,
    *work.EXECUTOR,
    *process.LOOP,
    *process.CAPABILITY,
    *process.FLAGS,
    *process.PHASE,
    *process.BUILD,
    *process.MONITOR,
    *alerts.ALERT,
    *alerts.HOOK,
)
"""Every metric that a monitor shows, as data."""

FAMILIES: Final = tuple({metric.name: metric for metric in METRICS}.values())  # one metric of each name

LEFT_OUT: Final = {
    ("metrics", "resources"): "penstock_monitor_resources says it",
    ("metrics", "saturated"): "near_limit_seconds says it of each limit, and for how long",
    ("pool", "open"): "the sum of penstock_pool_connections over its states",
}


def metric_of(kind: str, field: str) -> Metric:
    """Return the metric of a field; of an info, which has none, the last of its labels.

    Raises:
        LookupError: There is none.
    """
    for metric in METRICS:
        if metric.kind == kind and (metric.field or metric.labels[-1]) == field:
            return metric
    raise LookupError(f"no metric says {field!r} of a {kind}")
