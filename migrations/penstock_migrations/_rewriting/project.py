"""The project around a path: its root and its `pyproject.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

__all__ = ["project_root", "read_toml"]

_DECLARATIONS = ("pyproject.toml", "setup.cfg", "setup.py")


def project_root(path: Path) -> Path:
    """Return the nearest folder, from `path` upward, that declares a project; without any, the folder of `path`.

    An unpacked wheel is a project of its own, and neither a repository's root nor the home folder is left upward. A
    requirements.txt alone makes no folder above `path` a project: people keep them anywhere.

    Args:
        path: A file or folder.
    """
    path = path.resolve()
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        if any((folder / name).is_file() for name in _DECLARATIONS):
            return folder
        if (folder / ".git").exists():
            return folder if (folder / "requirements.txt").is_file() else start
        if folder == Path.home() or any(folder.glob("*.dist-info")):
            break
    return start


def read_toml(file: Path) -> dict[str, Any]:
    """Return a TOML file's content; empty if it is missing or no valid TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}
