"""Short words for what panels ask, in PromQL, of the processes that a reader of the board has chosen."""

from __future__ import annotations

from typing import Final

from penstock_monitoring._registry.catalogue import metric_of
from penstock_monitoring._registry.selector import select

__all__ = ["chosen", "in_mode", "increase", "latest", "mean", "near_limit", "rate", "rate_by_mode", "share"]

_WINDOW: Final = "[$__rate_interval]"
_RESOURCE: Final = "(job, instance, worker, name)"
_CHOSEN: Final = ('job=~"$job"', 'instance=~"$instance"')


def chosen(kind: str, field: str, **labels: str) -> str:
    """Return the selector of a metric, of the processes that are chosen."""
    return select(metric_of(kind, field), *_CHOSEN, **labels)


def latest(kind: str, field: str, by: str = "name", **labels: str) -> str:
    """Return a metric as it is now, of all processes together."""
    return f"{metric_of(kind, field).merge} by ({by}) ({chosen(kind, field, **labels)})"


def rate(kind: str, field: str, by: str = "name") -> str:
    """Return how fast a counter grows, per second."""
    return f"sum by ({by}) (rate({chosen(kind, field)}{_WINDOW}))"


def increase(kind: str, field: str, by: str = "name") -> str:
    """Return by how much a counter has grown, in the time that a point stands for."""
    return f"sum by ({by}) (increase({chosen(kind, field)}{_WINDOW}))"


def mean(kind: str, field: str, per: str) -> str:
    """Return by how much one counter grows for each that another grows."""
    return f"{rate(kind, field)} / ({rate(kind, per)} > 0)"


def share(kind: str, part: str, whole: str) -> str:
    """Return one gauge as a share of another, of the process where it is most."""
    return f"max by (name) ({chosen(kind, part)} / on {_RESOURCE} ({chosen(kind, whole)} > 0))"


def near_limit(kind: str) -> str:
    """Return for which share of the time a limit was nearly used up, of the process where it was most."""
    return f"max by (name) (rate({chosen(kind, 'near_limit_seconds')}{_WINDOW}))"


def rate_by_mode(kind: str, field: str) -> str:
    """Return how fast a counter grows, of the resources in each mode."""
    counted = f"rate({chosen(kind, field)}{_WINDOW})"
    return f"sum by (mode) ({counted} * on {_RESOURCE} group_left (mode) {_mode(kind)})"


def in_mode(kind: str, field: str, mode: str) -> str:
    """Return how fast a counter grows, of each resource that is in a mode."""
    return f"sum by (name) (rate({chosen(kind, field)}{_WINDOW}) and on {_RESOURCE} {_mode(kind, mode=mode)})"


def _mode(kind: str, **labels: str) -> str:
    """Return the mode of each resource; of several of one name in a process, that of one."""
    return f"topk by {_RESOURCE} (1, {chosen(kind, 'mode', **labels)})"
