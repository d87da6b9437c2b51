"""What a monitor sees at one moment, as data."""

from __future__ import annotations

import bisect
import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from penstock_monitoring._reading.lag import LoopStatistics
from penstock_monitoring._reading.read import ResourceReading

__all__ = ["POINTS", "ProcessReading", "Snapshot", "Utilisation"]

POINTS: Final = 120  # of one resource's utilisation; of more, each is the highest of several


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """The process.

    Attributes:
        pid: Its number.
        started: When the monitor was made, in Unix seconds.
        interval: Seconds between two samples.
        window: Seconds for which they are kept.
        threshold: The share of a limit from which on it is nearly used up.
        samples: How many were taken.
        unreadable: Resources whose statistics could not be read.
        version: Of penstock-monitoring.
        python: Of the language.
    """

    pid: int
    started: float
    interval: float
    window: float
    threshold: float
    samples: int
    unreadable: int
    version: str
    python: str


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How much of a limit was in use lately.

    Attributes:
        kind: The resource's kind.
        name: The resource's name.
        times: When, in Unix seconds.
        shares: The share of the limit at each of the last of these times; NaN where it was not seen.
    """

    kind: str
    name: str
    times: array[float]
    shares: array[float]

    @property
    def points(self) -> list[tuple[float, float]]:
        """When, in Unix seconds, and which share of the limit; at most 120, each the highest of its time."""
        return self.points_after(-math.inf)

    def points_after(self, moment: float) -> list[tuple[float, float]]:
        """Return the points after a moment in Unix seconds: at most 120, each the highest of its time."""
        first = bisect.bisect_right(self.times, moment, lo=max(0, len(self.times) - len(self.shares)))
        times = self.times[first:]
        shares = self.shares[len(self.shares) - len(times) :]
        if math.isnan(sum(shares)):
            seen = [index for index, share in enumerate(shares) if not math.isnan(share)]
            times, shares = array("d", [times[index] for index in seen]), array("f", [shares[index] for index in seen])
        step = max(1, math.ceil(len(times) / POINTS))
        last = len(times) - 1
        return [
            # As `round()` does, in a fifth of its time: there are many.
            (int(times[min(at + step - 1, last)] * 1e3 + 0.5) / 1e3, int(max(shares[at : at + step]) * 1e4 + 0.5) / 1e4)
            for at in range(0, len(times), step)
        ]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment; `to_json()` says it as `snapshot.schema.json` describes.

    Attributes:
        at: When, in Unix seconds.
        process: The process.
        resources: Every resource, by kind and name.
        utilisation: How much of each limit was in use lately.
        loops: How late each event loop was that the monitor is attached to.
        tasks: The trees of tasks of every task manager: nodes with a name and children.
        threads: How many threads there are, and how many of them are daemons.
        capabilities: The mode of each capability.
        alerts: What is amiss.
        version: Of the format.
    """

    at: float
    process: ProcessReading
    resources: tuple[ResourceReading, ...]
    utilisation: tuple[Utilisation, ...]
    loops: tuple[LoopStatistics, ...]
    tasks: tuple[Mapping[str, Any], ...]
    threads: Mapping[str, int]
    capabilities: Mapping[str, str]
    alerts: Sequence[Mapping[str, Any]] = ()
    version: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values; with a long history this takes a while: not in an event loop."""
        return {
            **self.facts(),
            "resources": [
                {"kind": each.kind, "name": each.name, "mode": each.mode, "values": each.values}
                for each in self.resources
            ],
            "utilisation": [
                {"kind": each.kind, "name": each.name, "points": [list(point) for point in each.points]}
                for each in self.utilisation
            ],
            "tasks": [dict(each) for each in self.tasks],
        }

    def facts(self) -> dict[str, Any]:
        """Return all of it but what may be long: resources, utilisation and tasks."""
        return {
            "version": self.version,
            "at": self.at,
            "process": asdict(self.process),
            "loops": [asdict(each) for each in self.loops],
            "threads": dict(self.threads),
            "capabilities": dict(self.capabilities),
            "alerts": [dict(each) for each in self.alerts],
        }

    def to_json(self) -> str:
        """Return it as JSON; not in an event loop, as `as_dict()`."""
        return json.dumps(self.as_dict(), separators=(",", ":"), allow_nan=False)
