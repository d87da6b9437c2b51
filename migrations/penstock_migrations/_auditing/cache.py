"""`Cache`: what the audit found out about a file's content, kept between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import sys
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs

__all__ = ["Cache"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS facts (version TEXT, key TEXT, value TEXT, PRIMARY KEY (version, key))"


class Cache:
    """A map from keys to texts on disk; one that is missing, broken or locked is an empty one.

    What another version of penstock or Python wrote is dropped.
    """

    def __init__(self) -> None:
        self._new: dict[str, str] = {}
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        folder = Path(os.environ.get("PENSTOCK_CACHE_DIR") or platformdirs.user_cache_dir("penstock", appauthor=False))
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = _opened(folder / "audit.sqlite")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error), self._connection:
            rows = [(_version(), key, value) for key, value in self._new.items()]
            self._connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)
            self._connection.execute("DELETE FROM facts WHERE version != ?", (_version(),))
        self._connection.close()

    def get(self, key: str) -> str | None:
        """Return the value of a key, or None."""
        if self._connection is None:
            return None
        try:
            query = "SELECT value FROM facts WHERE version = ? AND key = ?"
            row = self._connection.execute(query, (_version(), key)).fetchone()
            return None if row is None else str(row[0])
        except sqlite3.Error:
            return None

    def put(self, key: str, value: str) -> None:
        """Keep a value; it is written when the cache is left."""
        self._new[key] = value


def _opened(file: Path) -> sqlite3.Connection:
    """Open the database, and make it anew if it is broken."""
    try:
        return _connected(file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        file.unlink()
        return _connected(file)


def _connected(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=1)
    try:
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@cache
def _version() -> str:
    """Return a hash of the rules' own code and of what parses with them."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
