"""HTTP clients and connection pools that a test makes and does not close."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._watched import Made

__all__ = ["Clients"]

CLIENT: Final = ("PEN601", "Make it with `async with` or `with`, or close it in a `finally` or a fixture.")
POOL: Final = ("PEN601", "Make the pool with `async with` or `with`, or close it in a `finally` or a fixture.")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class, by name: nothing is imported for it.

    Attributes:
        check: What it is called: `client` or `pool`.
        is_closed: Tells whether one is closed.
    """

    check: str
    module: str
    name: str
    is_closed: Callable[[Any], bool]


_closed: Final = operator.attrgetter("closed")
_is_closed: Final = operator.attrgetter("is_closed")


def _is_idle(pool: Any) -> bool:
    """Tell whether a pool of asyncpg's is closed, or was never opened."""
    return bool(pool.is_closing()) or not getattr(pool, "_initialized", True)


_KINDS: Final = (
    _Kind("client", "httpx", "AsyncClient", _is_closed),
    _Kind("client", "httpx", "Client", _is_closed),
    _Kind("client", "httpx2", "AsyncClient", _is_closed),
    _Kind("client", "httpx2", "Client", _is_closed),
    _Kind("client", "aiohttp", "ClientSession", _closed),
    _Kind("pool", "asyncpg.pool", "Pool", _is_idle),
    _Kind("pool", "psycopg_pool", "AsyncConnectionPool", _closed),
    _Kind("pool", "psycopg_pool", "ConnectionPool", _closed),
)


@dataclass(frozen=True, slots=True)
class _Noted:
    thing: Any
    kind: _Kind


class Clients:
    """Takes note of each that is made, and keeps it: one that the garbage collector found was not closed either."""

    names = ("client", "pool")

    def before(self, watch: Watch) -> list[Made[_Noted]]:
        """Begin to take note, of the classes that are loaded."""
        made: list[Made[_Noted]] = []
        for kind in _KINDS:
            found = getattr(sys.modules.get(kind.module), kind.name, None)
            if isinstance(found, type):
                watch.test.note(found, "__init__", _noting(made, kind))
        return made

    def after(self, watch: Watch, state: list[Made[_Noted]]) -> Iterator[Accusation]:
        """Accuse those that are open."""
        kinds = {id(made.thing.thing): made.thing.kind for made in state}
        clients = [Made(made.thing.thing, made.site) for made in state]
        for made in watch.left(clients, lambda client: not _is_shut(kinds[id(client)], client)):
            kind = kinds[id(made.thing)]
            remedy = CLIENT if kind.check == "client" else POOL
            yield accuse(kind.check, remedy, f"a {kind.module.partition('.')[0]}.{kind.name} was not closed", made.site)


def _noting(made: list[Made[_Noted]], kind: _Kind) -> Callable[..., None]:
    def note(site: CallSite | None, client: Any, *_: Any, **__: Any) -> None:
        if not any(each.thing.thing is client for each in made):  # a subclass of a class that is listed too
            made.append(Made(_Noted(client, kind), site))

    return note


def _is_shut(kind: _Kind, client: Any) -> bool:
    try:
        return bool(kind.is_closed(client))
    except AttributeError:  # its __init__ has failed
        return True
