"""Who holds what, as the garbage collector sees it: what somebody leads to is not left behind."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import penstock_limits

from penstock_guard._sites import Origin, origin_of

__all__ = ["held_by", "is_owned", "process_wide"]

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
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)
_WORKERS = (threading.Thread, Executor)
_CACHE = type(functools.lru_cache(int))


def held_by(owners: Iterable[object], suspects: Iterable[object]) -> set[int]:
    """Return the ids of those suspects that the owners lead to."""
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


def process_wide(suspects: Iterable[object]) -> list[object]:
    """Return what is there once for the process, and ends with it or when a fixture ends it: it is no test's.

    Those are caches of functions, and objects of other distributions that the user's modules lead to: an engine, an
    application, a session, but not the suspects themselves; and what other distributions keep in their own modules.
    """
    users: deque[object] = deque()
    found: list[object] = []
    for name, module in list(sys.modules.items()):
        if origin_of(name) is Origin.USER:
            users.extend(_variables(module))
        elif origin_of(name) is Origin.LIBRARY:
            found += [each for each in _variables(module) if _is_librarys(each) or isinstance(each, _WORKERS)]
    seen = {id(each) for each in suspects}
    while users and len(seen) < _MOST:
        each = users.popleft()
        if id(each) in seen or _leads_everywhere(each):
            continue
        seen.add(id(each))
        if isinstance(each, _CACHE) or _is_librarys(each):
            found.append(each)
        elif isinstance(each, _CONTAINERS) or origin_of(type(each).__module__) is Origin.USER:
            users.extend(gc.get_referents(each))
    return found


def _variables(module: ModuleType) -> Iterator[object]:
    """Return the values of a module's variables, and of those of its classes."""
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield from list(vars(value).values())
        else:
            yield value


def _is_librarys(each: object) -> bool:
    return origin_of(type(each).__module__ or "") is Origin.LIBRARY


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
    return (
        isinstance(each, _WORLD)
        or kind.__name__.endswith(_LOOPS)
        or origin_of(getattr(kind, "__module__", None) or "") is Origin.TESTING
    )
