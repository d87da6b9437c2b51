"""The ledger: one line of JSON for each judgement, each carrying the hash of the one before, so that none is rewritten.

A chain shows that no line was changed, removed from the middle or put in between. That lines were cut off the end only
an older hash can show, so every report prints the hash of its own line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["BrokenLedgerError", "append", "check"]

_START = "0" * 64


class BrokenLedgerError(ValueError):
    """The chain of a ledger is broken; the message names the line."""

    def __init__(self, file: Path, line: int, reason: str) -> None:
        super().__init__(
            f"{file}: line {line}: {reason}. The evidence from there on cannot be trusted: "
            "find out who changed it, move the file away, and run the gate again to begin a new ledger"
        )
        self.line = line


def append(file: Path, entry: Mapping[str, Any]) -> str:
    """Add an entry after checking the whole chain; return its hash.

    Args:
        file: The ledger; made, with its folder, if it is missing.
        entry: What JSON can hold, without the keys `previous` and `hash`.

    Raises:
        BrokenLedgerError: The chain is broken; nothing is added.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream, _locked(stream):
        stream.seek(0)
        previous = _last_hash(file, stream)
        record = {**entry, "previous": previous}
        record["hash"] = _hash(record)
        stream.write(_canonical(record) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
        return str(record["hash"])


def check(file: Path) -> int:
    """Check the chain; return the number of entries, 0 for a missing file.

    Raises:
        BrokenLedgerError: The chain is broken.
    """
    try:
        with file.open("rb") as stream:
            _last_hash(file, stream)
            stream.seek(0)
            return sum(1 for _ in stream)
    except FileNotFoundError:
        return 0


def _last_hash(file: Path, stream: BinaryIO) -> str:
    previous = _START
    for number, line in enumerate(stream, start=1):
        if not line.endswith(b"\n"):
            raise BrokenLedgerError(file, number, "is cut off")
        try:
            record = json.loads(line)
            stated = record.pop("hash")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise BrokenLedgerError(file, number, "is no entry of a ledger") from None
        if record.get("previous") != previous:
            raise BrokenLedgerError(file, number, "does not follow the line before it")
        if stated != _hash(record):
            raise BrokenLedgerError(file, number, "was changed after it was written")
        previous = stated
    return previous


def _canonical(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _hash(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(record)).hexdigest()


@contextlib.contextmanager
def _locked(stream: BinaryIO) -> Iterator[None]:
    """Let one process at a time read the end and add to it; the lock ends with the file, also after a crash."""
    try:
        import fcntl
    except ImportError:  # Windows: two gates at once on one ledger would show as a broken chain, never silently
        yield
        return
    fcntl.flock(stream, fcntl.LOCK_EX)
    yield
