"""What the demo claims: each claim has a name, figures, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from examples.demo._measure import Figures, Window

__all__ = ["Check", "judge_connections", "judge_loads"]

Limiters = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Check:
    """One claim.

    Attributes:
        name: What is claimed, as a sentence.
        holds: Whether it does.
        figures: What was seen.
    """

    name: str
    holds: bool
    figures: str


def judge_loads(
    figures: Iterable[Figures], windows: Iterable[Window], *, limit: int, provider_limit: int
) -> list[Check]:
    """Return what is claimed about the loads; nothing of it is about speed.

    Args:
        figures: Those of the loads `before`, `off`, `observe`, `enforce` and `rollback`.
        windows: The loads themselves.
        limit: What the agents' limiter lets run.
        provider_limit: What the provider serves at once.
    """
    by_name = {each.name: each for each in figures}
    limiters = {each.name: each.limiter or {} for each in windows}
    enforce = by_name["enforce"]
    return [
        _floods("Before, the agents flood the provider", by_name["before"], provider_limit),
        _floods("Migrated and off, they do as before", by_name["off"], provider_limit),
        _observes(by_name["observe"], limiters, provider_limit),
        Check(
            f"Enforced, never more than {limit} requests are open",
            0 < enforce.peak <= limit,
            f"at most {enforce.peak} at once, {_gained(limiters, 'enforce', 'observe', 'waited')} waited",
        ),
        Check(
            "Enforced, nothing is refused and nothing lost",
            enforce.refused == 0 and enforce.lost == 0 and enforce.answered > 0,
            f"{enforce.refused} refused, {enforce.lost} lost, {enforce.answered} answered",
        ),
        _floods("Rolled back by the flag, they do as before", by_name["rollback"], provider_limit),
    ]


def judge_connections(figures: Iterable[Figures], *, pool: int) -> list[Check]:
    """Return what is claimed about the connections to the database.

    Args:
        figures: As for `judge_loads`.
        pool: How many connections the agents' pool may open.
    """
    by_name = {each.name: each for each in figures}
    enforce = by_name["enforce"]
    return [
        *(
            Check(name, by_name[load].connections > pool, _connected(by_name[load]))
            for load, name in (
                ("before", "Before, the agents open a connection for each operation"),
                ("off", "Migrated and off, they open as many as before"),
                ("rollback", "Rolled back by the flag, they open as many as before"),
            )
        ),
        Check(
            f"Enforced, never more than {pool} connections are open, and they are used again",
            0 < enforce.connections <= pool and enforce.opened <= pool,
            _connected(enforce),
        ),
    ]


def _connected(figures: Figures) -> str:
    return f"up to {figures.connections} at once, {figures.opened} opened"


def _floods(name: str, figures: Figures, provider_limit: int) -> Check:
    return Check(
        name,
        figures.peak > provider_limit and figures.refused > 0,
        f"up to {figures.peak} at once where {provider_limit} are served, {figures.refused} refused",
    )


def _observes(figures: Figures, limiters: Limiters, provider_limit: int) -> Check:
    counted = _gained(limiters, "observe", "off", "would_wait")
    waited = _gained(limiters, "observe", "off", "waited")
    return Check(
        "Observing, they count what would have waited and hold nothing back",
        counted > 0 and waited == 0 and figures.peak > provider_limit,
        f"{counted} would have waited, {waited} did; up to {figures.peak} at once",
    )


def _gained(limiters: Limiters, now: str, earlier: str, counter: str) -> int:
    """Counters only grow, so what one load added is the difference to the load before it."""
    return int(limiters[now].get(counter, 0)) - int(limiters[earlier].get(counter, 0))
