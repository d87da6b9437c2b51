"""What became of each test in one run, and in what two runs differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Difference", "Run", "differences", "recorded"]

ABSENT = "absent"


@dataclass(frozen=True)
class Run:
    """How a project's tests ended.

    Attributes:
        outcomes: How each test ended: `passed`, `failed`, `error`, `skipped`, or why a file was not collected.
        reasons: Why, where a test did not pass.
        loaded: The files that were loaded when the tests had ended.
    """

    outcomes: Mapping[str, str]
    reasons: Mapping[str, str]
    loaded: frozenset[str] = frozenset()

    @property
    def counts(self) -> Counter[str]:
        """How many tests ended in which way."""
        return Counter(self.outcomes.values())


@dataclass(frozen=True)
class Difference:
    """A test that ended in another way."""

    test: str
    before: str
    after: str
    reason: str


def recorded(text: str) -> Run:
    """Read what the recorder wrote."""
    record = json.loads(text)
    ended: dict[str, list[str]] = record["ended"]
    outcomes = {test: outcome for test, (outcome, _) in ended.items()}
    reasons = {test: reason for test, (_, reason) in ended.items() if reason}
    return Run(outcomes, reasons, frozenset(record["loaded"]))


def differences(before: Run, after: Run) -> list[Difference]:
    """Return the tests that did not end as before, also those that are gone or new, by name."""
    return [
        Difference(test, one, other, after.reasons.get(test, before.reasons.get(test, "")))
        for test in sorted({*before.outcomes, *after.outcomes})
        if (one := before.outcomes.get(test, ABSENT)) != (other := after.outcomes.get(test, ABSENT))
    ]
