"""What penstock-guard saw while a project's tests ran: reading code cannot tell how many threads it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["GUARDED", "Accusation", "Guarded", "guard_environment", "guard_report"]

GUARDED = "guarded"  # a run of the tests with everything enforced, and the guard looking on


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
class Guarded:
    """What a run under the guard has shown.

    Attributes:
        tests: How many tests it looked at.
        accusations: What it saw, known from a baseline or not.
    """

    tests: int
    accusations: tuple[Accusation, ...]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a report of the guard, or what `dataclasses.asdict` made of this.

        Raises:
            KeyError, TypeError: It is neither.
        """
        fields = Accusation.__dataclass_fields__
        accusations = (Accusation(**{key: each[key] for key in fields}) for each in document["accusations"])
        return cls(document["tests"], tuple(accusations))


def guard_environment(folder: Path) -> dict[str, str]:
    """Return the variables that switch the guard on in any command that runs pytest, and have it report here."""
    return {"PENSTOCK_GUARD": "report", "PENSTOCK_GUARD_REPORT": str(folder / "guard.json")}


def guard_report(folder: Path) -> Guarded | None:
    """Return what the guard reported; None if it was not there, or its report is of another version."""
    try:
        document = json.loads((folder / "guard.json").read_bytes())
        return Guarded.from_document(document) if document["version"] == 1 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
