"""Reads every resource, and keeps the counts of those that are gone while others of their name are left."""

from __future__ import annotations

import functools
import itertools
import logging
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol, cast

from penstock_limits import ConcurrencyMetrics, Resource

from penstock_monitoring._reading.read import ResourceReading
from penstock_monitoring._reading.shown import shown
from penstock_monitoring._reading.track import Track
from penstock_monitoring._registry.catalogue import METRICS
from penstock_monitoring._registry.metric import NESTED

__all__ = ["Counts", "Key", "Scan", "Scanner", "Trees"]

logger = logging.getLogger("penstock.monitoring")

Key = tuple[str, str]  # kind and name


class _Manager(Resource, Protocol):
    def tree(self) -> object:
        """What it owns, as a tree."""


Trees = Sequence[weakref.ref[_Manager]]


class Counts(SimpleNamespace):
    """What resources that are gone have counted: of their statistics, the fields that only grow."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a scan has found; the next one begins with it."""

    number: int = 0
    read: dict[int, tuple[weakref.ref[Resource], ResourceReading]] = field(default_factory=dict)  # by identity
    gone: dict[Key, Counts] = field(default_factory=dict)


class Scanner:
    """Reads resources; one that fails is told of once, and does not keep the others from being read.

    Args:
        tracks: What samples say, by kind and name.
        more: Returns what is no resource, but is to be seen; it is told of what there is one.

    Attributes:
        more: As given.
        unreadable: How many could not be read by the last scan.
    """

    def __init__(
        self, tracks: Mapping[Key, Track], more: Callable[[Container[Key]], Iterable[ResourceReading]]
    ) -> None:
        self.more = more
        self.unreadable = 0
        self._tracks = tracks
        self._numbers = itertools.count(1)
        self._known = _Known()
        self._told: weakref.WeakSet[Resource] = weakref.WeakSet()

    def scan(self, found: Iterable[Resource]) -> Scan:
        """Begin to read these; several scans may be under way, in several threads.

        Who looks for them does so when they are iterated over: what leaves before this is called must not be among
        them, or it would be there and gone.
        """
        return Scan(self, found, self._known, next(self._numbers))

    def read(self, resource: Resource) -> ResourceReading | None:
        """Return what a resource tells; None if it fails."""
        try:
            kind, name = str(resource.kind), shown(str(resource.name))
            return ResourceReading(kind, name, resource.statistics(), self._tracks.get((kind, name)))
        except (Exception, CancelledError) as error:  # noqa: BLE001 - one that fails must not hide the others
            self._tell(resource, error)  # the cancellation is not ours: nothing was awaited
            return None

    def learn(self, known: _Known, unreadable: int) -> None:
        """Take note of what a scan has found, unless one that began later has ended before."""
        if known.number > self._known.number:
            self._known, self.unreadable = known, unreadable

    def _tell(self, resource: Resource, error: BaseException) -> None:
        if resource not in self._told:
            self._told.add(resource)
            # Not what it says: it may hold what must not be shown.
            logger.error("the statistics of a %s cannot be read: %s", type(resource).__name__, type(error).__name__)


class Scan:
    """One look at everything: iterate over it once for what is there.

    It speaks of one moment, whatever other scans find meanwhile: what it has read is not among what is gone.

    Attributes:
        trees: After the iteration: the resources that have a tree of tasks.
        gone: After the iteration: what resources have counted that are gone or could not be read this time, of every
            name that is still there. Without it the sum of a name would fall, which Prometheus takes for a restart.
    """

    def __init__(self, scanner: Scanner, found: Iterable[Resource], before: _Known, number: int) -> None:
        self.trees: list[weakref.ref[_Manager]] = []
        self.gone: tuple[ResourceReading, ...] = ()
        self._scanner = scanner
        self._found = found
        self._before = before
        self._number = number

    def __iter__(self) -> Iterator[ResourceReading]:
        before, unreadable = self._before.read, 0
        now: dict[int, tuple[weakref.ref[Resource], ResourceReading]] = {}
        missed: list[ResourceReading] = []
        for resource in self._found:
            if isinstance(resource, ConcurrencyMetrics):  # it reads all the others
                continue
            reading = self._scanner.read(resource)
            if reading is not None:
                now[id(resource)] = (weakref.ref(resource), reading)
                if _has_tree(resource):
                    self.trees.append(weakref.ref(cast("_Manager", resource)))
                yield reading
                continue
            unreadable += 1
            known = before.get(id(resource))
            if known is not None and known[0]() is resource:
                now[id(resource)] = known
                missed.append(known[1])
        there = {(reading.kind, reading.name) for _, reading in now.values()}
        gone = self._counted(now, there)
        self._scanner.learn(_Known(self._number, now, gone), unreadable)
        self.gone = tuple(ResourceReading(*key, counts) for key, counts in _with(gone, missed).items())
        yield from self._scanner.more(there)

    def _counted(self, now: Mapping[int, tuple[object, ResourceReading]], there: Container[Key]) -> dict[Key, Counts]:
        """Return what was counted by all that are gone, of the names that are there now."""
        gone = {key: counts for key, counts in self._before.gone.items() if key in there}
        left = (
            reading
            for identity, (resource, reading) in self._before.read.items()
            # Another may have its place in memory.
            if (reading.kind, reading.name) in there and (identity not in now or resource() is None)
        )
        return _with(gone, left)


def _has_tree(resource: Resource) -> bool:
    try:
        return callable(getattr(resource, "tree", None))
    except Exception:  # noqa: BLE001 - somebody else's property; the rest of it was read
        return False


def _with(counted: Mapping[Key, Counts], readings: Iterable[ResourceReading]) -> dict[Key, Counts]:
    """Return what was counted before, and by these."""
    total = dict(counted)
    for each in readings:
        key = (each.kind, each.name)
        total[key] = _sum(each.kind, total.get(key), each.statistics)
    return total


def _sum(kind: str, counts: Counts | None, statistics: Any) -> Counts:
    fields, nested = _counters(kind)
    total = Counts(**_added(fields, counts, statistics))
    if nested:
        before, last = getattr(counts, NESTED, {}), getattr(statistics, NESTED, {})
        total.dimensions = {
            each: Counts(**_added(nested, before.get(each), last.get(each))) for each in {**before, **last}
        }
    return total


def _added(fields: Iterable[str], one: object, other: object) -> dict[str, float]:
    return {each: _number(one, each) + _number(other, each) for each in fields}


def _number(holder: object, name: str) -> float:
    value = getattr(holder, name, 0)
    return value if isinstance(value, int | float) else 0


@functools.cache
def _counters(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a kind's statistics that only grow, and those of each of its dimensions."""
    counters = {
        metric.field
        for metric in METRICS
        if metric.kind == kind and metric.type == "counter" and metric.source == "statistics"
    }
    nested = {each for each in counters if each.startswith(f"{NESTED}.")}
    return tuple(counters - nested), tuple(each.removeprefix(f"{NESTED}.") for each in nested)
