"""What penstock-guard saw while a project's tests ran: reading code cannot tell how many threads it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["GUARDED", "Accusation", "Guarded", "SeenResource", "guard_environment", "guard_report"]

GUARDED = "guarded"  # a run of the tests with everything enforced, and the guard looking on
REPORTS = "guard"  # each run of pytest writes one there
_RESOURCE = ("package", "kind", "name")


@dataclass(frozen=True, slots=True)
class Accusation:
    """What one test did.

    Attributes:
        check: What the guard looked at: `thread`, `fan-out` ...
        code: The rule that tells the remedy.
        test: The test's id.
        message: What it did.
        path: The file that did it, as the guard shows it; None if it cannot be told.
        line: The line there.
    """

    check: str
    code: str
    test: str
    message: str
    path: str | None
    line: int | None

    @property
    def place(self) -> str:
        """Where it was done, or else in which test."""
        return self.test if self.path is None else f"{self.path}:{self.line} (in {self.test})"


@dataclass(frozen=True, slots=True)
class SeenResource:
    """What `penstock_limits.resources()` showed at the end of a test.

    Attributes:
        package: The package that made it: `penstock_limits`, `penstock_pooling` ...
        kind: `limiter`, `pool` ...
        name: Its name.
    """

    package: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a run under the guard has shown.

    Attributes:
        tests: How many tests it looked at.
        accusations: What it saw, known from a baseline or not.
        failures: What failed of the guard itself: it has not seen all.
        resources: What the tests that passed made visible to a monitor.
    """

    tests: int
    accusations: tuple[Accusation, ...]
    failures: tuple[str, ...] = ()
    resources: tuple[SeenResource, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a report of the guard, or what `dataclasses.asdict` made of this.

        Raises:
            KeyError, TypeError: It is neither.
        """
        fields = Accusation.__dataclass_fields__
        accusations = (Accusation(**{key: each[key] for key in fields}) for each in document["accusations"])
        resources = (
            SeenResource(**{key: str(each[key]) for key in _RESOURCE}) for each in document.get("resources", ())
        )
        return cls(document["tests"], tuple(accusations), tuple(document.get("failures", ())), tuple(resources))


def guard_environment(folder: Path) -> dict[str, str]:
    """Return the variables that switch the guard on in any command that runs pytest, once or several times."""
    reports = folder / REPORTS
    reports.mkdir()
    return {"PENSTOCK_GUARD": "report", "PENSTOCK_GUARD_REPORT": str(reports)}


def guard_report(folder: Path) -> Guarded | None:
    """Return what the guard reported of all runs; None if it was not there, or a report is of another version."""
    reports = []
    for path in sorted((folder / REPORTS).glob("*.json")):
        try:
            document = json.loads(path.read_bytes())
            if document["version"] != 1:
                return None
            reports.append(Guarded.from_document(document))
        except (OSError, ValueError, KeyError, TypeError):
            return None
    if not reports:
        return None
    return Guarded(
        sum(each.tests for each in reports),
        tuple(accusation for each in reports for accusation in each.accusations),
        tuple(failure for each in reports for failure in each.failures),
        tuple(dict.fromkeys(resource for each in reports for resource in each.resources)),
    )
