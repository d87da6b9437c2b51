"""Finds the Python files beneath the paths to audit, and the names under which findings show them."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

__all__ = ["AuditedFile", "discover"]

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True, slots=True)
class AuditedFile:
    """A file to audit.

    Attributes:
        file: Where it is.
        shown: The POSIX path that findings show: relative to the working directory if beneath it, else to `root`; and
            where that would be the path of another file, too, from the working directory upwards. No two are the same.
        root: The path it was found under.
        error: Why it cannot be audited, if that is known already.
    """

    file: Path
    shown: str
    root: Path
    error: str | None = None


def discover(paths: Sequence[Path], exclude: Sequence[str] = (), include: Sequence[str] = ()) -> list[AuditedFile]:
    """List the files to audit, each once, ordered by the path shown.

    Hidden folders, virtual environments and caches are left out, and links to folders are not followed.

    Args:
        paths: Files, and folders to search for `*.py`.
        exclude: Globs that leave out what they match: a name (`generated`) or a shown path (`docs/*.py`).
        include: Globs of which a file beneath a folder, or a folder that it is in, matches one; empty for all.
    """
    found: dict[str, AuditedFile] = {}
    folders: dict[Path, str] = {}
    for root in paths:
        for audited in _beneath(root, exclude):
            if include and not audited.error and root.is_dir() and not _is_included(audited.shown, include):
                continue
            found.setdefault(_real(audited.file, folders), audited)
    return sorted(_told_apart(list(found.values())), key=lambda audited: audited.shown)


def _told_apart(files: list[AuditedFile]) -> Iterator[AuditedFile]:
    number = Counter(audited.shown for audited in files)
    for audited in files:
        apart = number[audited.shown] == 1
        yield audited if apart else replace(audited, shown=Path(os.path.relpath(audited.file)).as_posix())


def _beneath(root: Path, exclude: Sequence[str]) -> Iterator[AuditedFile]:
    if not root.is_dir():
        yield AuditedFile(root, _shown(root, root.parent), root.parent)
        return
    failed: list[tuple[Path, str]] = []

    def fail(error: OSError) -> None:
        failed.append((Path(error.filename), error.strerror or str(error)))

    for folder, folders, files in os.walk(root, onerror=fail):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not _is_skipped(here / name, root, exclude))
        shown = _shown_folder(here, root)
        for name in sorted(files):
            if name.endswith(".py") and not _is_excluded(shown + name, exclude):
                yield AuditedFile(here / name, shown + name, root)
    for where, reason in failed:
        yield AuditedFile(where, _shown(where, root), root, f"cannot be listed: {reason}")


def _is_skipped(folder: Path, root: Path, exclude: Sequence[str]) -> bool:
    if folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists():
        return True
    return _is_excluded(_shown(folder, root), exclude)


def _is_excluded(shown: str, exclude: Sequence[str]) -> bool:
    name = shown.rpartition("/")[2]
    return any(fnmatch.fnmatch(shown, glob.rstrip("/")) or fnmatch.fnmatch(name, glob.rstrip("/")) for glob in exclude)


def _is_included(shown: str, include: Sequence[str]) -> bool:
    return any(_is_excluded(each.as_posix(), include) for each in (PurePath(shown), *PurePath(shown).parents))


def _real(file: Path, folders: dict[Path, str]) -> str:
    """Return the path of a file without links; that of its folder is looked up once."""
    if os.path.islink(file):  # noqa: PTH114 - is_symlink raises where it may not look
        return os.path.realpath(file)
    if file.parent not in folders:
        folders[file.parent] = os.path.realpath(file.parent)
    return f"{folders[file.parent]}/{file.name}"


def _shown(file: Path, root: Path) -> str:
    absolute = _absolute(file)
    for base in (Path.cwd(), _absolute(root)):
        if absolute != base and absolute.is_relative_to(base):
            return absolute.relative_to(base).as_posix()
    return absolute.name


def _shown_folder(folder: Path, root: Path) -> str:
    """Return what the paths shown of the files in a folder start with."""
    return _shown(folder / "_", root).removesuffix("_")


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))  # without following links: they are shown as they are named
