"""Files that are never half-written."""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path
from typing import Any

from penstock_monitoring._perf.errors import BaselineError

__all__ = ["require_writable", "write_json"]


def require_writable(file: Path) -> None:
    """Make sure that a file can be written, before hours of runs that nothing would be left of.

    Raises:
        BaselineError: It cannot.
    """
    if _is_special(file):
        return
    try:
        folder = next(each for each in file.resolve().parents if each.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(file, error) from error


def write_json(file: Path, document: dict[str, Any]) -> None:
    """Write a document in one step: readers see the old or the new one.

    Raises:
        BaselineError: It cannot be written; the old one is as it was.
    """
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    try:
        if _is_special(file):
            file.write_text(text, encoding="utf-8")
        else:
            _replace(file.resolve(), text)  # the file behind a link is replaced, not the link
    except OSError as error:
        raise _unwritable(file, error) from error


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    try:
        with beside.open("x", encoding="utf-8") as stream:
            stream.write(text)
        if file.exists():
            beside.chmod(file.stat().st_mode & 0o7777)
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _is_special(file: Path) -> bool:
    """Whether it is a device or a pipe, such as /dev/null: it is written to, and never replaced."""
    return file.exists() and not file.is_file()


def _unwritable(file: Path, error: OSError) -> BaselineError:
    return BaselineError(f"{file} cannot be written: {error.strerror or error}")
