"""The values of all metrics in Prometheus' text format, in a quarter of the time that its library takes.

The library sorts, checks and escapes the labels of each sample anew; ours are made once for each resource.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from penstock_monitoring._prometheus.labelled import Labelled
from penstock_monitoring._reading.series import Labels, Series
from penstock_monitoring._registry.metric import Metric

__all__ = ["CONTENT_TYPE", "Text"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_TYPES: Final = {"counter": "counter", "gauge": "gauge", "info": "gauge", "state": "gauge"}


class Text:
    """Writes values as text; keeps the labels that it has written."""

    def __init__(self) -> None:
        self._labelled = Labelled(_labels)

    def pieces(self, metric: Metric, names: Labels, processes: Sequence[tuple[Labels, Series]]) -> Iterator[str]:
        """Return the lines of one metric; none if it has no value.

        Args:
            metric: The metric.
            names: The names of its labels.
            processes: For each process the labels that tell it from others, and its values.
        """
        name = metric.name
        lines = [
            f"{name}{labels} {value if value.__class__ is int else _number(value)}\n"
            for labels, value in self._labelled.values(name, names, processes)
        ]
        if lines:
            said = metric.help.replace("\\", r"\\").replace("\n", r"\n")
            yield f"# HELP {name} {said}\n# TYPE {name} {_TYPES[metric.type]}\n"
            yield "".join(lines)


def _labels(names: Labels, values: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    value = float(value)
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
