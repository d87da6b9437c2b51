"""Statistics as plain values, whatever dataclass they are."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_monitoring._reading.shown import shown, shown_name, shown_sentence

__all__ = ["Value", "node", "values"]

Value = float | int | str | None

_SENTENCES: Final = frozenset({"part_of", "waits_on"})  # of a task manager's own words, with names in quotes


def values(statistics: object) -> dict[str, Value]:
    """Return the fields of statistics that are numbers, texts or None; those of what they hold have names with dots."""
    return dict(_fields("", statistics))


def _fields(prefix: str, holder: object) -> Iterator[tuple[str, Value]]:
    for name, value in _items(holder):
        if _is_holder(value):
            yield from _fields(f"{prefix}{name}.", value)
        elif value is None or isinstance(value, int | float | str):
            yield f"{prefix}{name}", _plain(value)


def _plain(value: Value) -> Value:
    if isinstance(value, str):
        return shown(str(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None else int(value)


def _is_holder(value: object) -> bool:
    return isinstance(value, Mapping) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _items(holder: object) -> list[tuple[str, Any]]:
    if isinstance(holder, Mapping):
        return [(shown(str(name)), value) for name, value in holder.items()]
    if not _is_holder(holder):
        return []
    fields = dataclasses.fields(holder)  # type: ignore[arg-type]
    return [(field.name, getattr(holder, field.name, None)) for field in fields]


def node(branch: object, budget: list[int]) -> dict[str, Any]:
    """Return a node of a task tree as plain values: its numbers, its names and places, its children.

    Args:
        branch: A dataclass; a field with dataclasses in it holds children.
        budget: How many nodes may be returned still; counted down.
    """
    budget[0] -= 1
    plain: dict[str, Any] = {"children": []}
    for name, value in _items(branch):
        if isinstance(value, CallSite):
            plain[name] = _place(value)
        elif isinstance(value, tuple | list):
            for child in value:
                if budget[0] > 0 and _is_holder(child):
                    plain["children"].append(node(child, budget))
        elif isinstance(value, str):
            plain[name] = shown_sentence(value) if name in _SENTENCES else shown_name(value)
        elif value is None or isinstance(value, int | float):
            plain[name] = _plain(value)
    return plain


@functools.lru_cache(maxsize=4096)
def _place(site: CallSite) -> str:
    """Return a line of code with the end of its path: the rest of it is the machine's."""
    return shown(f"{PurePath(*PurePath(site.path).parts[-3:]).as_posix()}:{site.line} in {site.function}")
