"""Writes flags: whole files, atomically, one writer at a time."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_flags._declaration import Mode, parse_declarations
from penstock_flags._document import describe, new_flag, with_mode
from penstock_flags._errors import FlagsExistError, FlagsLockedError, UnknownFlagError
from penstock_flags._project import ENVIRONMENTS, Project, packaged_text

__all__ = ["Change", "initialize", "set_mode"]

LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Change:
    """What a flag was before, and is now, for people."""

    before: str
    after: str


def set_mode(project: Project, environment: str, key: str, mode: Mode, *, percent: float = 100) -> Change:
    """Set a flag in one environment; running programs follow within a second.

    Args:
        project: The project's flags.
        environment: The environment's name.
        key: The flag's key.
        mode: Its new mode.
        percent: The share of instances that get it, 0 to 100; the others keep the mode they have now.

    Raises:
        UnknownEnvironmentError: There is no such environment.
        UnknownFlagError: No such flag is declared.
        InvalidFlagsError: A file is broken already, and left as it is.
        FlagsLockedError: Another process has been writing for 10 s.
        ValueError: A share is asked for of the mode that everyone has already.
        OSError: The file cannot be written.
    """
    declarations = project.declarations()
    if key not in declarations:
        raise UnknownFlagError(key, declarations)
    path = project.environment_file(environment)
    with _locked(path.parent):
        document = project.read(environment, declarations)
        before = document["flags"].get(key) or new_flag(declarations[key])
        after = with_mode(before, mode, percent, seed=declarations[key].phase)
        document["flags"][key] = after
        _replace(path, _dump({name: table for name, table in document.items() if table or name == "flags"}))
    return Change(describe(before), describe(after))


def initialize(directory: Path) -> list[Path]:
    """Write a project's flags: `flags.toml`, and four environments in which every flag has its default.

    Args:
        directory: The folder to write into; made when it is not there.

    Returns:
        The files written.

    Raises:
        FlagsExistError: One of the files is there already; nothing is written.
        OSError: A file cannot be written; nothing stays behind.
    """
    text = packaged_text()
    flags = {key: new_flag(declaration) for key, declaration in parse_declarations(text, "flags.toml").items()}
    files = {directory / "flags.toml": text, directory / "environments" / ".gitignore": ".lock\n"}
    files |= {directory / "environments" / f"{name}.json": _dump({"flags": flags}) for name in ENVIRONMENTS}
    if present := [path for path in files if path.exists()]:
        raise FlagsExistError(present)
    with contextlib.ExitStack() as undo:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            undo.callback(path.unlink, missing_ok=True)
            _replace(path, content)
        undo.pop_all()
    return list(files)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(directory / ".lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise FlagsLockedError(directory / ".lock", LOCK_SECONDS) from None
    try:
        yield
    finally:
        lock.release()


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _replace(path: Path, content: str) -> None:
    """Write a file so that a reader sees the old one or the new one, and nothing between."""
    target = path.resolve()  # the file behind a link is replaced, not the link
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
