"""A temporary copy of a project, so that a phase is tried before anything is written."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Copy", "CopyError", "copied"]

_MOST_FILES = 100_000

_NOT_COPIED = frozenset(
    {
        ".git",
        ".hg",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        "__pycache__",
        "node_modules",
        "penstock-reports",
    }
)


class CopyError(ValueError):
    """A project cannot be copied; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A project and its copy.

    Attributes:
        original: The project's root.
        root: The root of the copy.
        missed: What could not be copied, one line each.
    """

    original: Path
    root: Path
    missed: tuple[str, ...] = ()

    def of(self, path: Path) -> Path:
        """Return the place in the copy of a resolved path."""
        return self.root / path.relative_to(self.original)

    def origin(self, file: Path) -> Path:
        """Return the place in the project of a file of the copy.

        Raises:
            ValueError: It lies outside of the copy: a link leads there.
        """
        return self.original / file.relative_to(self.root)


@contextlib.contextmanager
def copied(original: Path) -> Iterator[Copy]:
    """Copy a project into a temporary folder, and remove it at the end.

    Version control, caches and old reports are left out; virtual environments are linked.

    Args:
        original: The project's root.

    Raises:
        CopyError: It holds more than 100,000 files, or the temporary folder cannot hold it.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-phase1-", ignore_cleanup_errors=True) as folder:
        root = Path(os.path.realpath(folder)) / (original.name or "project")
        files = 0
        missed: list[str] = []
        environments: list[Path] = []

        def leave_out(where: str, names: list[str]) -> set[str]:
            nonlocal files
            files += len(names)
            if files > _MOST_FILES:
                advice = "a pyproject.toml in its root says where a project begins"
                raise CopyError(f"{original} holds more than {_MOST_FILES:,} files: is it one project? {advice}")
            found = {name for name in names if (Path(where) / name / "pyvenv.cfg").is_file()}
            environments.extend(Path(where) / name for name in found)
            return found | _NOT_COPIED.intersection(names)

        try:
            shutil.copytree(original, root, symlinks=True, ignore=leave_out)
        except shutil.Error as error:
            missed = [f"{Path(source)}: could not be copied: {reason}" for source, _, reason in error.args[0]]
        for environment in environments:
            (root / environment.relative_to(original)).symlink_to(environment)
        yield Copy(original, root, tuple(missed))
