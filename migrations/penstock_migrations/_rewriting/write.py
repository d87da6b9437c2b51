"""Writing files so that a crash, a full disk or Ctrl-C never leaves one half-written."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Edit", "WriteError", "check_writable", "write_all", "write_atomically"]


class WriteError(OSError):
    """A file was not written, and is as it was; the message says why, and which if there are several."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One file's change.

    Attributes:
        path: POSIX path as shown to people, relative to where a diff applies.
        file: The file itself.
        before: Its bytes before; None if it is to be made.
        after: Its bytes after.
        purpose: Why, in a few words.
    """

    path: str
    file: Path
    before: bytes | None
    after: bytes
    purpose: str


def check_writable(file: Path) -> None:
    """Refuse a file that its owner made read-only, or that this user may not replace.

    Raises:
        WriteError: It cannot be written.
    """
    target = Path(os.path.realpath(file))
    try:
        mode = target.stat().st_mode
    except OSError as error:
        raise WriteError(f"cannot be read any more: {error.strerror}; left as it is") from None
    # A rename would replace a read-only file without asking, and root may write anything: the mode says the intent.
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(target, os.W_OK):
        raise WriteError("is read-only; left as it is. Make it writable and run again")
    if not os.access(target.parent, os.W_OK):
        raise WriteError("its folder is read-only; left as it is. Make it writable and run again")


def write_atomically(file: Path, content: bytes) -> None:
    """Replace a file's content in one step: readers see the old or the new, never a part.

    The mode bits stay, a symbolic link stays a link and its target is written. A hard link's other names keep the
    old content.

    Args:
        file: The file.
        content: Its new bytes.

    Raises:
        WriteError: It cannot be written.
    """
    write_all([Edit(str(file), file, None, content, "")])


def write_all(edits: Sequence[Edit]) -> None:
    """Replace the content of all files, or of none: whatever interrupts it, Ctrl-C too, puts back what was replaced.

    Raises:
        WriteError: One of the files has changed meanwhile or cannot be written; none is changed.
    """
    staged: list[_Staged] = []
    begun: list[_Staged] = []
    try:
        staged.extend(map(_stage, edits))  # one by one: those before a failure are in the list
        for each in staged:
            _check_unchanged(each.edit)
            begun.append(each)
            each.temporary.replace(each.target)
    except BaseException as error:
        for each in reversed(begun):
            _put_back(each)
        if isinstance(error, OSError) and not isinstance(error, WriteError):
            raise WriteError(f"{error.filename}: cannot be written: {error.strerror}; left as it is") from None
        raise
    finally:
        for each in staged:
            each.temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Staged:
    edit: Edit
    target: Path
    temporary: Path
    held: bytes | None


def _check_unchanged(edit: Edit) -> None:
    if edit.before is None:
        return
    try:
        check_writable(edit.file)
        if edit.file.read_bytes() != edit.before:
            raise WriteError("has changed since it was read; left as it is. Run again")
    except WriteError as error:
        raise WriteError(f"{edit.path}: {error}") from None


def _stage(edit: Edit) -> _Staged:
    """Check a file and write its new content beside it."""
    _check_unchanged(edit)
    target = Path(os.path.realpath(edit.file))
    held = target.read_bytes() if target.exists() else None
    return _Staged(edit, target, _written_beside(target, edit.after), held)


def _written_beside(target: Path, content: bytes) -> Path:
    """Write content to a new file in the target's folder, on disk, with the target's mode bits and owner."""
    with _temporary_beside(target) as (handle, temporary):
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _copy_ownership(target, temporary)
    return temporary


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[tuple[int, Path]]:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".penstock", dir=target.parent)
    try:
        yield handle, Path(name)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _copy_ownership(target: Path, temporary: Path) -> None:
    try:
        status = target.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        return
    temporary.chmod(stat.S_IMODE(status.st_mode))
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):  # only root may give a file away
            os.chown(temporary, status.st_uid, status.st_gid)


def _put_back(staged: _Staged) -> None:
    if staged.held is None:
        staged.target.unlink(missing_ok=True)
    elif staged.target.read_bytes() == staged.edit.after:
        _written_beside(staged.target, staged.held).replace(staged.target)
