"""Values with their labels, which are made once for each resource and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from penstock_monitoring._reading.series import Labels, Series

__all__ = ["Labelled"]

_KEPT: Final = 50_000  # sets of labels of metrics whose labels have the same names
T = TypeVar("T")


class Labelled(Generic[T]):
    """Gives the values of a metric with their labels.

    Args:
        make: Makes what stands for labels, of their names and their values.
    """

    def __init__(self, make: Callable[[Labels, Labels], T]) -> None:
        self._make = make
        self._made: dict[Labels, dict[Labels, T]] = {}  # by the labels' names, then by their values

    def values(
        self, metric: str, names: Labels, processes: Iterable[tuple[Labels, Series]]
    ) -> Iterator[tuple[T, float]]:
        """Return the labels and the value of each series of a metric.

        Args:
            metric: The metric's name.
            names: The names of its labels.
            processes: For each process the labels that tell it from others, and its values.
        """
        made = self._made.setdefault(names, {})
        if len(made) > _KEPT:
            made.clear()
        for process, series in processes:
            for own, value in series.get(metric, {}).items():
                key = own + process if process else own
                labels = made.get(key)
                if labels is None:
                    if len(key) != len(names):  # of a process that runs another version
                        continue
                    labels = made[key] = self._make(names, key)
                yield labels, value
