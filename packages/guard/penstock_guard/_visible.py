"""What a monitor would show of the tests."""

from __future__ import annotations

import contextlib
import dataclasses
from asyncio import CancelledError

import penstock_limits

__all__ = ["visible"]


def visible() -> list[list[str]]:
    """Return package, kind and name of every live resource that says something; plain data, which xdist hands on."""
    seen = []
    for each in penstock_limits.resources():
        with contextlib.suppress(Exception, CancelledError):  # one that fails does not hide the others
            if _says_something(each.statistics()):
                seen.append([type(each).__module__.partition(".")[0], str(each.kind), str(each.name)])
    return seen


def _says_something(statistics: object) -> bool:
    """Tell whether a number of it is not 0: a drop-in has its counters as soon as somebody names it, as mocks do."""
    if not dataclasses.is_dataclass(statistics):
        return True
    values = [getattr(statistics, field.name) for field in dataclasses.fields(statistics)]
    return any(isinstance(each, int | float) and each for each in values)
