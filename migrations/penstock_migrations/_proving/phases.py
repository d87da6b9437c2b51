"""The plan of `phases.toml`, read into frozen dataclasses."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Criterion", "Phase", "phase", "phases"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One of a phase's success criteria.

    Attributes:
        statement: In the RFC's words.
        checks: Names of the checks that judge it; empty if this release does not cover it.
    """

    statement: str
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the plan.

    Attributes:
        number: 1 to 4.
        name: In one word.
        rules: Names of the rules whose findings it mends.
        opens: Flags that it opens.
        criteria: What must hold at its end.
    """

    number: int
    name: str
    rules: tuple[str, ...]
    opens: tuple[str, ...]
    criteria: tuple[Criterion, ...]

    @property
    def covered(self) -> tuple[Criterion, ...]:
        """The criteria that this release judges."""
        return tuple(each for each in self.criteria if each.checks)


@cache
def phases() -> tuple[Phase, ...]:
    """Return the four phases, in order."""
    document = tomllib.loads(files("penstock_migrations").joinpath("phases.toml").read_text(encoding="utf-8"))
    return tuple(
        Phase(
            number=table["number"],
            name=table["name"],
            rules=tuple(table["rules"]),
            opens=tuple(table["opens"]),
            criteria=tuple(Criterion(each["statement"], tuple(each["checks"])) for each in table["criteria"]),
        )
        for table in document["phase"]
    )


def phase(number: int) -> Phase:
    """Return a phase by its number.

    Raises:
        ValueError: This release judges none of its criteria; the message lists the phases that it does.
    """
    covered = {each.number: each for each in phases() if each.covered}
    if number not in covered:
        raise ValueError(f"phase {number} is not covered by this release; covered: {', '.join(map(str, covered))}")
    return covered[number]
