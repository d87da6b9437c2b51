"""What a project knows of and has not mended yet: a ratchet, which only what is new does not pass."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["DEFAULT", "key_of", "read", "write"]

DEFAULT: Final = "penstock-guard-baseline.json"
VERSION: Final = 1
Key = tuple[str, str]


def key_of(entry: dict[str, Any]) -> Key:
    """Return what an accusation is known by: its check, and the function that made it, whatever the line and the test.

    Without a line it is known by its test.
    """
    place = f"{entry['path']}::{entry['function']}" if entry["path"] else f"test {entry['test']}"
    return entry["check"], place


def read(path: Path) -> frozenset[Key] | None:
    """Return what is known; None if there is no such file.

    Raises:
        pytest.UsageError: The file is no baseline.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']!r}")
        return frozenset((known["check"], known["where"]) for known in document["known"])
    except (ValueError, KeyError, TypeError) as error:
        raise pytest.UsageError(
            f"{path} is no baseline of penstock_guard ({error!r}); write one with --penstock-guard-update-baseline"
        ) from None


def write(path: Path, entries: Iterable[dict[str, Any]]) -> int:
    """Write what a run has accused, and return how many places that are."""
    known = sorted({key_of(entry) for entry in entries})
    document = {"version": VERSION, "known": [{"check": check, "where": where} for check, where in known]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return len(known)
