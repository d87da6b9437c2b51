"""`Sources`: the files behind the paths that findings show, and their lines."""

from __future__ import annotations

import io
import os
import re
import tokenize
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from penstock_migrations._auditing.source import UnreadableError, read
from penstock_migrations.rule import Finding

__all__ = ["Sources", "printable"]


class Sources:
    """Files by the paths that findings show.

    Args:
        roots: The paths that were audited.
    """

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        folders = [root if root.is_dir() else root.parent for root in roots]
        self._bases = tuple(dict.fromkeys([Path.cwd(), *(folder.absolute() for folder in folders)]))
        self._at_hand = lru_cache(8)(_read)  # findings come ordered by file

    def file(self, shown: str) -> Path | None:
        """Return the file that findings show by this path; None if it is gone."""
        candidates = (Path(os.path.normpath(base / shown)) for base in self._bases)
        return next((file for file in candidates if file.is_file()), None)

    def line(self, finding: Finding) -> str | None:
        """Return the first line of a finding's code as it is written; None if the file has changed since the audit."""
        file = self.file(finding.path)
        if file is None:
            return None
        lines, sha256 = self._at_hand(file)
        if finding.sha256 not in ("", sha256) or not 1 <= finding.line <= len(lines):
            return None
        return lines[finding.line - 1]


def _read(file: Path) -> tuple[list[str], str]:
    try:
        source = read(file)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source.data).readline)
    except (UnreadableError, SyntaxError):
        return [], ""
    return re.split("\r\n|\r|\n", source.data.decode(encoding, errors="replace").removeprefix("\ufeff")), source.sha256


def printable(text: str) -> str:
    """Show what a terminal would obey, and bytes of file names that are no text, as escapes; tabs as spaces."""
    shown = text.expandtabs(4)
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)
