"""What `penstock perf` has written about a project: its baselines, and how later code compared with them.

The files are read by their format alone, as others may write them, too.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Comparison", "Performance", "performance_of"]

_VERSION = 1
_BASELINE, _COMPARISON = "performance-baseline", "performance-comparison"
_VERDICTS = ("regressed", "same", "better", "inconclusive")
_ENDING = ".perf.json"  # of a file that is about performance, whatever it holds
_AHEAD = 300.0  # seconds by which the clock of another machine may be ahead


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison with a baseline.

    Attributes:
        name: The baseline's.
        verdict: `regressed`, `same`, `better` or `inconclusive`.
        current: Whether it was made after the code was last changed.
        interleaved: Whether both sides ran in turn; if not, it may be the machine that has changed.
        at: When, in Unix seconds.
    """

    name: str
    verdict: str
    current: bool
    interleaved: bool
    at: float


@dataclass(frozen=True, slots=True)
class Performance:
    """What is known of a project's performance.

    Attributes:
        comparisons: The last one with each baseline.
        uncompared: The baselines that nothing was compared with.
        unreadable: The files of these kinds that cannot be read, and why.
    """

    comparisons: tuple[Comparison, ...] = ()
    uncompared: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def performance_of(root: Path, reports: Path | None, files: Iterable[Path]) -> Performance | None:
    """Read baselines of the root and of the reports folder, and the comparisons of the latter; None without any.

    Args:
        root: The project's root; baselines there are called `NAME.perf.json`.
        reports: The reports folder.
        files: The code; a comparison that is older than any of them is about other code.
    """
    baselines: set[str] = set()
    comparisons: dict[str, Comparison] = {}
    unreadable: list[str] = []
    changed = max((_changed(file) for file in files), default=0.0)
    for path in _candidates(root, reports):
        document = _document(path)
        if document.get("kind") not in (_BASELINE, _COMPARISON):
            if path.name.endswith(_ENDING):
                unreadable.append(f"{path.name}: it is neither a baseline nor a comparison")
            continue
        try:
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']!r} is not known")
            if document["kind"] == _BASELINE:
                baselines.add(_text(document["name"]))
                continue
            each = _comparison(document, changed)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            unreadable.append(f"{path.name}: {error!r}")
            continue
        if each.name not in comparisons or each.at > comparisons[each.name].at:
            comparisons[each.name] = each
    if not (baselines or comparisons or unreadable):
        return None
    last = tuple(comparisons[name] for name in sorted(comparisons))
    return Performance(last, tuple(sorted(baselines - comparisons.keys())), tuple(unreadable))


def _candidates(root: Path, reports: Path | None) -> Iterator[Path]:
    found = {file.resolve(): file for file in sorted(root.glob(f"*{_ENDING}"))}
    if reports is not None:
        found = {file.resolve(): file for file in sorted(reports.glob("*.json"))} | found
    yield from (file for file in found.values() if file.is_file())


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _comparison(document: dict[str, Any], changed: float) -> Comparison:
    verdict, at = document["verdict"], float(document["at"])
    if verdict not in _VERDICTS:
        raise ValueError(f"verdict {verdict!r} is not known")
    if not math.isfinite(at):
        raise ValueError(f"at = {at!r} is no time")
    if at > time.time() + _AHEAD:
        raise ValueError(f"at = {at!r} is still to come")
    return Comparison(_text(document["name"]), verdict, at > changed, document["interleaved"] is True, at)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()  # JSON may hold what no terminal and no file can


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return float("inf")
