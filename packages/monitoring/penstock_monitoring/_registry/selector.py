"""How PromQL names the series of a metric."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Metric

__all__ = ["select"]


def select(metric: Metric, *matchers: str, **labels: str) -> str:
    """Return the selector of a metric.

    Args:
        metric: The metric.
        *matchers: What else must hold, as PromQL writes it.
        **labels: The values that labels must have.
    """
    wanted = dict(metric.fixed) | labels
    equal = [f'{label}="{_escaped(value)}"' for label, value in wanted.items()]
    every = ",".join([*equal, *matchers])
    return f"{metric.name}{{{every}}}" if every else metric.name


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
