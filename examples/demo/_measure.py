"""What a load did, from what the provider saw: pure functions over its log."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Figures", "Request", "Window", "concurrency", "measure", "percentile", "within"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the provider saw it; times in seconds since the epoch.

    Attributes:
        arrived: When it came.
        left: When its answer left.
        status: 200 or 429.
        open: How many requests were open when it came, itself included.
        key: The same for every attempt of one call.
    """

    arrived: float
    left: float
    status: int
    open: int
    key: int


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one load, in seconds since the epoch.

    Attributes:
        name: What ran, such as `enforce`.
        start: When the job was given.
        end: When its result came.
        lost: How many answers the job did without.
        limiter: The limiter's counters at the end; None where the agents have none.
        opened: How many connections to the database were opened.
    """

    name: str
    start: float
    end: float
    lost: int
    limiter: dict[str, Any] | None
    opened: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said about one load.

    Attributes:
        name: What ran.
        peak: The most requests that were open at once.
        refused: How many were answered with 429.
        answered: How many were answered with 200.
        lost: How many answers the job did without.
        seconds: How long the job took.
        throughput: Answers per second.
        p50: Median of the seconds that a call takes, from its first attempt to its answer.
        p99: The 99th percentile of the same.
        memory: The largest resident memory of the agents, in MiB.
        connections: The most connections to the database that were open at once, as far as samples show.
        opened: How many were opened.
    """

    name: str
    peak: int
    refused: int
    answered: int
    lost: int
    seconds: float
    throughput: float
    p50: float
    p99: float
    memory: float
    connections: int
    opened: int


def measure(
    window: Window,
    requests: Iterable[Request],
    memory: Iterable[tuple[float, int]],
    connections: Iterable[tuple[float, int]],
) -> Figures:
    """Return the figures of one load.

    Args:
        window: Its time.
        requests: The provider's log, of any length.
        memory: Samples of the agents' resident memory: seconds since the epoch, and bytes.
        connections: Samples of the connections to the database: seconds since the epoch, and how many.
    """
    mine = within(window, requests)
    answered = [request for request in mine if request.status == 200]
    calls = sorted(_call_seconds(mine))
    seconds = window.end - window.start
    return Figures(
        name=window.name,
        peak=max((request.open for request in mine), default=0),
        refused=sum(request.status == 429 for request in mine),
        answered=len(answered),
        lost=window.lost,
        seconds=seconds,
        throughput=len(answered) / seconds,
        p50=percentile(calls, 0.5),
        p99=percentile(calls, 0.99),
        memory=max(_during(window, memory), default=0) / 2**20,
        connections=max(_during(window, connections), default=0),
        opened=window.opened,
    )


def within(window: Window, requests: Iterable[Request]) -> list[Request]:
    """Return the requests that came during a load."""
    return [request for request in requests if window.start <= request.arrived <= window.end]


def _during(window: Window, samples: Iterable[tuple[float, int]]) -> list[int]:
    return [value for at, value in samples if window.start <= at <= window.end]


def concurrency(requests: Iterable[Request]) -> list[tuple[float, int]]:
    """Return how many requests were open: a step (time, number) for every change."""
    changes = sorted(change for request in requests for change in ((request.arrived, 1), (request.left, -1)))
    steps: list[tuple[float, int]] = []
    number = 0
    for at, change in changes:
        number += change
        steps.append((at, number))
    return steps


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below or at which this share of an ordered sequence lies; 0 if it is empty."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _call_seconds(requests: Iterable[Request]) -> list[float]:
    """How long each call took that got its answer, from its first attempt on."""
    attempts: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        attempts[request.key].append(request)
    return [
        next(each.left for each in tries if each.status == 200) - min(each.arrived for each in tries)
        for tries in attempts.values()
        if any(each.status == 200 for each in tries)
    ]
