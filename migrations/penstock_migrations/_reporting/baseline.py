"""`Baseline`: the findings that a project has agreed to live with for now; they may only become fewer."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from penstock_migrations.rule import Finding

__all__ = ["Baseline", "BaselineError", "Entry", "Trend", "relative_to"]

_VERSION = 1
_FIELDS = {"path": str, "code": str, "function": str | None, "fingerprint": str, "count": int}


class BaselineError(ValueError):
    """A file is no baseline; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of findings with one fingerprint.

    Attributes:
        path: Their file, relative to the baseline's folder.
        code: Their rule's code.
        function: Qualified name of the function around them, None at module level.
        fingerprint: What they are known by; it stays when lines move.
        count: How many of them there are.
    """

    path: str
    code: str
    function: str | None
    fingerprint: str
    count: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """By what it is known: its file and its fingerprint."""
        return self.path, self.fingerprint


@dataclass(frozen=True, slots=True)
class Trend:
    """Findings compared with a baseline.

    Attributes:
        new: The findings that it does not know.
        known: Those that it knows.
        fixed: What it knows and is no longer there; `count` is how many are gone.
    """

    new: tuple[Finding, ...]
    known: tuple[Finding, ...]
    fixed: tuple[Entry, ...]


class Baseline:
    """Entries by file and fingerprint: where nothing marks a project, files of one name have the same fingerprints.

    Args:
        entries: The entries.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.key: entry for entry in entries if entry.count > 0}

    def __len__(self) -> int:
        return sum(entry.count for entry in self._entries.values())

    @classmethod
    def of(cls, findings: Iterable[Finding], path: Callable[[Finding], str]) -> Self:
        """Return a baseline that knows these findings.

        Args:
            findings: The findings.
            path: Tells the file of a finding, relative to the baseline's folder.
        """
        findings = list(findings)
        entries = [Entry(path(each), each.code, each.function, each.fingerprint) for each in findings]
        counts = Counter(entry.key for entry in entries)
        return cls(replace(entry, count=counts[entry.key]) for entry in entries)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a baseline.

        Raises:
            BaselineError: The file is missing, cannot be read, is no baseline or another version's.
        """
        again = "restore it, or make it anew with `penstock baseline update`"
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BaselineError(
                f"{file} does not exist; make it: penstock baseline update PATH... --baseline {file}"
            ) from None
        except OSError as error:
            raise BaselineError(f"{file} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise BaselineError(f"{file} is no baseline: no valid JSON ({error}); {again}") from None
        if not isinstance(document, dict) or "version" not in document:
            raise BaselineError(f"{file} is no baseline: it has no version; {again}")
        if document["version"] != _VERSION:
            told = f"{file} is a baseline of version {document['version']!r}, this penstock reads {_VERSION}"
            raise BaselineError(f"{told}; use the penstock that wrote it, or remove it and make it anew")
        try:
            return cls(map(_entry, document["findings"]))
        except (KeyError, TypeError) as error:
            raise BaselineError(f"{file} is no baseline: {error}; {again}") from None

    def to_json(self) -> str:
        """Return its file's text: one line for each entry, ordered, so that differences are small."""
        entries = sorted(
            self._entries.values(), key=lambda one: (one.path, one.code, one.function or "", one.fingerprint)
        )
        lines = ",\n".join(f"  {json.dumps(asdict(entry))}" for entry in entries)
        return f'{{\n "version": {_VERSION},\n "findings": [' + (f"\n{lines}\n " if lines else "") + "]\n}\n"

    def compare(
        self, findings: Iterable[Finding], path: Callable[[Finding], str], was_audited: Callable[[Entry], bool]
    ) -> Trend:
        """Tell what is new, known and fixed.

        Args:
            findings: What an audit found.
            path: Tells the file of a finding, relative to the baseline's folder.
            was_audited: Says whether the audit would have found an entry if it were still there.
        """
        left = Counter({key: entry.count for key, entry in self._entries.items()})
        new: list[Finding] = []
        known: list[Finding] = []
        for finding in findings:
            key = path(finding), finding.fingerprint
            (known if left[key] > 0 else new).append(finding)
            left[key] -= 1
        gone = [replace(entry, count=left[key]) for key, entry in self._entries.items()]
        return Trend(tuple(new), tuple(known), tuple(each for each in gone if each.count > 0 and was_audited(each)))

    def without(self, fixed: Iterable[Entry]) -> Baseline:
        """Return what is left when these are fixed."""
        gone = Counter({entry.key: entry.count for entry in fixed})
        return Baseline(replace(entry, count=entry.count - gone[key]) for key, entry in self._entries.items())

    def with_also(self, other: Baseline) -> Baseline:
        """Return what either knows, added up."""
        entries = dict(self._entries)
        for key, entry in other._entries.items():
            known = entries.get(key)
            entries[key] = replace(entry, count=entry.count + (known.count if known else 0))
        return Baseline(entries.values())


def _entry(data: Any) -> Entry:
    if not isinstance(data, dict):
        raise TypeError("an entry is no object")
    for name, kind in _FIELDS.items():
        if not isinstance(data[name], kind) or isinstance(data[name], bool):
            raise TypeError(f"{name} = {data[name]!r} in an entry")
    return Entry(**{name: data[name] for name in _FIELDS})


def relative_to(folder: Path, file: Path) -> str:
    """Return the path of a file as a baseline in a folder keeps it."""
    return Path(os.path.relpath(file, folder)).as_posix()
