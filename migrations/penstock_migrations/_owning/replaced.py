"""Leaves alone what other files replace, as tests do, and to review what they compare the type of."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._code.project import Project
from penstock_migrations.rule import Fix, Site

__all__ = ["leave_what_is_replaced"]

_REPLACED = "`{}` is replaced in {}: the drop-in would pass that by"
_HOLDERS = {  # a library that is replaced as a whole takes these names with it
    "threading": frozenset({"Thread", "Timer"}),
    "asyncio": frozenset({"create_task"}),
    "concurrent": frozenset({"ThreadPoolExecutor"}),
    "futures": frozenset({"ThreadPoolExecutor"}),
}
_NAMES = rb"(?P<%s>Thread|Timer|ThreadPoolExecutor|create_task|threading|asyncio|concurrent|futures)"
_QUOTE = rb"[\"']"
_NAMED = rb"(?:\w+\s*=\s*)?"  # `target=`, `name=`
_BEGINS = rb"(?:f?" + _QUOTE + rb"|\w+\s*\+\s*" + _QUOTE + rb")"  # a text, or a name for its beginning
_TEXT = rb"(?:patch|setattr)\s*\(\s*" + _NAMED + _BEGINS + rb"(?P<path>[\w.{}]*)\." + _NAMES % b"of_path" + _QUOTE
_OBJECT = (
    rb"(?:patch\.object|set(?:attr|item))\s*\(\s*" + _NAMED + rb"(?P<object>[\w.]+|vars\([\w.]+\))\s*,\s*"
    + _NAMED + _QUOTE + _NAMES % b"of_object" + _QUOTE
)  # fmt: skip
_MULTIPLE = rb"patch\.multiple\s*\(\s*[\"']?(?P<several>[\w.]+)[\"']?\s*,[^()]*?\b" + _NAMES % b"of_several" + rb"\s*="
_ASSIGNED = rb"^[ \t]*(?P<owner>[\w.]+)\." + _NAMES % b"of_owner" + rb"[ \t]*=[^=]"
_PATCHED = re.compile(b"|".join((_TEXT, _OBJECT, _MULTIPLE, _ASSIGNED)), re.MULTILINE)
_COMPARED = "{} compares a type with `{}`, which the drop-in's is not when observed or enforced"
_TYPES = re.compile(
    rb"(?:\btype\([^()\n]+\)|\.__class__)[ \t]*(?:is|is[ \t]+not|==|!=|in|not[ \t]+in)[ \t]"
    rb"(?P<types>[^\n:]*\b(?:Thread|Timer|ThreadPoolExecutor)\b[^\n:]*)"
)
_FORMS = ("path", "object", "several", "owner")
_LIBRARIES = frozenset({"threading", "asyncio", "tasks", "concurrent", "futures", "thread"})


def leave_what_is_replaced(project: Project, file: Path, site: Site) -> Site:
    """Offer no rewrite of a call whose name some file of the project replaces, as tests do by `mock.patch`.

    Where another file asks for the very type of what is made, it is left to review.
    """
    if not site.rewrites:
        return site
    for other, text in project.matching(file, _PATCHED):
        for form, owner, name in _replacements(text):
            if _HOLDERS.get(name, {name}).intersection(site.callees) and _is_meant(
                form, owner, file, text, is_same=other.absolute() == file.absolute()
            ):
                return dataclasses.replace(
                    site, fix=Fix.NONE, fix_reason=_REPLACED.format(name, other.name), rewrites=()
                )
    if site.fix is not Fix.SAFE:
        return site
    for other, text in project.matching(file, _TYPES):
        compared = {word for found in _TYPES.finditer(text) for word in re.findall(r"\w+", found["types"].decode())}
        if asked := compared.intersection(site.callees):
            reason = _COMPARED.format(other.name, min(asked))
            return dataclasses.replace(site, fix=Fix.REVIEW, fix_reason=reason)
    return site


def _replacements(text: bytes) -> Iterator[tuple[str, str, str]]:
    for found in _PATCHED.finditer(text):
        form = next(one for one in _FORMS if found[one] is not None)
        yield form, found[form].decode(), found[f"of_{form}"].decode()


def _is_meant(form: str, owner: str, file: Path, text: bytes, *, is_same: bool) -> bool:
    """Say whether an owner is the file's module; of another name, or the library itself, where that is imported."""
    stem = file.parent.name if file.stem == "__init__" else file.stem
    words = owner.removeprefix("vars(").removesuffix(")").split(".")
    while words and words[-1] in _LIBRARIES:
        words.pop()
    if words and words[-1] == stem:
        return True
    imported = rf"^[ \t]*(?:from|import)\b(?:[^\n(]*\([^)]*|[^\n]*)\b{re.escape(stem)}\b".encode()
    is_any = not "".join(words) or "{" in owner or form == "object"
    return is_any and (is_same or re.search(imported, text, re.MULTILINE) is not None)
