"""Leaves alone what tests put something else in the place of: a drop-in would pass that by."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._code.project import Project
from penstock_migrations.rule import Fix, Site

__all__ = ["leave_what_is_replaced"]

_REPLACED = "`{}` is replaced in {}: the drop-in would pass that by"
_NAMES = rb"(?P<%s>Thread|Timer|ThreadPoolExecutor|create_task)"
_QUOTE = rb"[\"']"
_TEXT = rb"(?:patch|setattr)\s*\(\s*" + _QUOTE + rb"(?P<path>[\w.]+)\." + _NAMES % b"of_path" + _QUOTE
_OBJECT = rb"(?:patch\.object|setattr)\s*\(\s*(?P<object>[\w.]+)\s*,\s*" + _QUOTE + _NAMES % b"of_object" + _QUOTE
_MULTIPLE = rb"patch\.multiple\s*\(\s*[\"']?(?P<several>[\w.]+)[\"']?\s*,[^()]*?\b" + _NAMES % b"of_several" + rb"\s*="
_ASSIGNED = rb"^[ \t]*(?P<owner>[\w.]+)\." + _NAMES % b"of_owner" + rb"[ \t]*=[^=]"
_PATCHED = re.compile(b"|".join((_TEXT, _OBJECT, _MULTIPLE, _ASSIGNED)), re.MULTILINE)
_FORMS = ("path", "object", "several", "owner")
_LIBRARIES = frozenset({"threading", "asyncio", "tasks", "concurrent", "futures", "thread"})


def leave_what_is_replaced(project: Project, file: Path, site: Site) -> Site:
    """Offer no rewrite of a call whose name some file of the project replaces, as tests do by `mock.patch`."""
    if not site.rewrites:
        return site
    for other, text in project.matching(file, _PATCHED):
        for form, owner, name in _replacements(text):
            if name in site.callees and _is_meant(form, owner, file, text):
                return dataclasses.replace(
                    site, fix=Fix.NONE, fix_reason=_REPLACED.format(name, other.name), rewrites=()
                )
    return site


def _replacements(text: bytes) -> Iterator[tuple[str, str, str]]:
    for found in _PATCHED.finditer(text):
        form = next(one for one in _FORMS if found[one] is not None)
        yield form, found[form].decode(), found[f"of_{form}"].decode()


def _is_meant(form: str, owner: str, file: Path, text: bytes) -> bool:
    """Say whether an owner is the file's module; of another name, or the library itself, where that is imported."""
    stem = file.parent.name if file.stem == "__init__" else file.stem
    words = owner.split(".")
    while words and words[-1] in _LIBRARIES:
        words.pop()
    if words and words[-1] == stem:
        return True
    imported = rf"^[ \t]*(?:from|import)\b[^\n]*\b{re.escape(stem)}\b".encode()
    return (not words or form == "object") and re.search(imported, text, re.MULTILINE) is not None
