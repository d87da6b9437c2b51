"""Compares findings with labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penstock_migrations.rule import Finding, Severity

from tests.accuracy._corpus import Label

NEAR = 2


@dataclass
class Score:
    """How the audit did on the labels of one issue."""

    found: list[Label] = field(default_factory=list)
    missed: list[Label] = field(default_factory=list)
    wrong: list[Label] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """The share of defects in what was found or wrongly accused; 0 if nothing was."""
        return _share(len(self.found), len(self.wrong))

    def without(self, package: str) -> Score:
        """Return the score as it were without the labels of one package."""
        kept = ([one for one in part if one.package != package] for part in (self.found, self.missed, self.wrong))
        return Score(*kept)

    @property
    def packages(self) -> list[str]:
        """The packages whose labels count."""
        return sorted({one.package for part in (self.found, self.missed, self.wrong) for one in part})

    @property
    def recall(self) -> float:
        """The share of the defects that was found; 0 without defects."""
        return _share(len(self.found), len(self.missed))


def score(labels: Iterable[Label], findings: Sequence[tuple[str, str, Finding]]) -> Score:
    """Score the labels of one issue.

    Args:
        labels: What a reader judged.
        findings: What the audit said, as (package, path within it, finding).
    """
    result = Score()
    for label in labels:
        hits = [finding for package, path, finding in findings if _is_hit(label, package, path, finding)]
        accused = any(finding.severity is not Severity.LOW for finding in hits)
        if label.label == "defect":
            is_found = bool(hits) if label.severity == "low" else accused
            (result.found if is_found else result.missed).append(label)
        elif label.label == "ok" and accused:
            result.wrong.append(label)
    return result


def _is_hit(label: Label, package: str, path: str, finding: Finding) -> bool:
    if (package, path, finding.issue) != (label.package, label.path, label.issue):
        return False
    return label.line - NEAR <= finding.line <= label.end_line + NEAR


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part else 0.0
