"""Where the processes of a user serve their pages, so that `penstock top` finds them: a file for each, in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Announced", "announce", "announced"]


@dataclass(frozen=True, slots=True)
class Announced:
    """A page.

    Attributes:
        pid: The process.
        url: Where it is.
        name: The monitor's name.
        file: What says so.
    """

    pid: int
    url: str
    name: str
    file: Path


def announce(url: str, name: str) -> Path | None:
    """Say where this process serves a page; None if there is no place to say it."""
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(folder):
            return None
        file = folder / f"{os.getpid()}-{url.rstrip('/').rpartition(':')[2]}.json"
        file.write_text(json.dumps({"pid": os.getpid(), "url": url, "name": name}), encoding="utf-8")
    except OSError:
        return None
    return file


def announced() -> Iterator[Announced]:
    """Return the pages that this user's processes have said to serve; some may have ended since."""
    folder = _folder()
    if not _is_ours(folder):
        return
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(file.read_text(encoding="utf-8"))
            yield Announced(int(said["pid"]), str(said["url"]), str(said["name"]), file)


def _folder() -> Path:
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"penstock{user}"


def _is_ours(folder: Path) -> bool:
    """Tell whether nobody else can have put anything there: in a shared folder, others may make one of that name."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return stat.S_ISDIR(found.st_mode)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
