"""Who holds what: a fixture's value owns what it leads to, and so does what was accused already."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections import deque
from collections.abc import Iterable
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import penstock_limits

__all__ = ["held_by", "is_owned"]

_MOST: Final = 200_000  # objects looked at: beyond, a fixture leads to the whole program
_WORLD = (
    ModuleType,
    type,
    FrameType,
    CodeType,
    BuiltinFunctionType,
    contextvars.Context,
    contextvars.ContextVar,
    asyncio.AbstractEventLoop,
    str,
    bytes,
    int,
    float,
)  # what leads everywhere, or nowhere
_LOOPS = ("EventLoopPolicy", "ChildWatcher")  # by name: in Python 3.14 to ask for these classes warns
_NOBODYS = ("_pytest.", "pytest.", "pluggy.", "penstock_guard.")


def held_by(owners: Iterable[object], suspects: Iterable[object]) -> set[int]:
    """Return the ids of those suspects that the owners lead to, as the garbage collector sees it."""
    wanted = {id(each) for each in suspects}
    found: set[int] = set()
    if not wanted:
        return found
    ahead = deque(owner for owner in owners if not _leads_everywhere(owner))
    seen = {id(each) for each in ahead}
    while ahead and len(seen) < _MOST and found != wanted:
        each = ahead.popleft()
        if id(each) in wanted:
            found.add(id(each))
        for referent in _led_to(each):
            if id(referent) not in seen and not _leads_everywhere(referent):
                seen.add(id(referent))
                ahead.append(referent)
    return found


def is_owned(thing: object) -> bool:
    """Tell whether a resource, such as a task manager, says with `owns(thing)` that it will end it."""
    return any(_says_owned(resource, thing) for resource in penstock_limits.resources())


def _says_owned(resource: Any, thing: object) -> bool:
    owns = getattr(resource, "owns", None)
    try:
        return owns is not None and bool(owns(thing))
    except Exception:  # noqa: BLE001 - one that cannot tell does not own
        return False


def _led_to(each: object) -> Iterable[object]:
    if isinstance(each, FunctionType):
        return each.__closure__ or ()  # its globals are the world
    return gc.get_referents(each)


def _leads_everywhere(each: object) -> bool:
    kind = type(each)
    return isinstance(each, _WORLD) or (kind.__module__ or "").startswith(_NOBODYS) or kind.__name__.endswith(_LOOPS)
