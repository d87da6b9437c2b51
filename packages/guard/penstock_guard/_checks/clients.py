"""HTTP clients and connection pools that a test makes and does not close."""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import site_here
from penstock_guard._watched import Made

__all__ = ["Clients"]

CLIENT: Final = ("PEN601", "Make it with `async with` or `with`, or close it in a `finally` or a fixture.")
POOL: Final = ("PEN601", "Make the pool with `async with` or `with`, or close it in a `finally` or a fixture.")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class, by name: nothing is imported for it.

    Attributes:
        check: What it is called: `client` or `pool`.
        is_closed: Tells whether one is closed, or has nothing to close.
        ends: Its methods that close it; without them one is kept, so that it can be asked.
    """

    check: str
    module: str
    name: str
    is_closed: Callable[[Any], bool]
    ends: tuple[str, ...] = ()


_closed: Final = operator.attrgetter("closed")
_WITHIN: Final = {"ASGITransport", "WSGITransport", "MockTransport", "_TestClientTransport"}


def _is_shut(client: Any) -> bool:
    """Tell whether a client of httpx's is closed, or calls an application in this process: then it opens nothing."""
    return bool(client.is_closed) or type(getattr(client, "_transport", None)).__name__ in _WITHIN


def _is_idle(pool: Any) -> bool:
    """Tell whether a pool of asyncpg's is closed, or was never opened."""
    return bool(pool.is_closing()) or not getattr(pool, "_initialized", True)


_ASYNC: Final = ("aclose", "__aexit__")
_SYNC: Final = ("close", "__exit__")
_KINDS: Final = (
    _Kind("client", "httpx", "AsyncClient", _is_shut, _ASYNC),
    _Kind("client", "httpx", "Client", _is_shut, _SYNC),
    _Kind("client", "httpx2", "AsyncClient", _is_shut, _ASYNC),
    _Kind("client", "httpx2", "Client", _is_shut, _SYNC),
    _Kind("client", "aiohttp", "ClientSession", _closed, ("close", "detach")),
    _Kind("pool", "asyncpg.pool", "Pool", _is_idle),
    _Kind("pool", "psycopg_pool", "AsyncConnectionPool", _closed),
    _Kind("pool", "psycopg_pool", "ConnectionPool", _closed),
)


class _Noted:
    """A client or a pool.

    Attributes:
        thing: Returns it; None if the garbage collector has found it.
        ended: Whether it was told to close.
    """

    def __init__(self, made: Any, kind: _Kind, site: CallSite | None) -> None:
        self.thing: Callable[[], Any] = weakref.ref(made) if kind.ends else lambda: made
        self.kind = kind
        self.site = site
        self.ended = False

    def is_dropped(self) -> bool:
        return self.thing() is None and not self.ended


class Clients:
    """Takes note of each that is made; a client that the garbage collector found before it was closed was left, too."""

    names = ("client", "pool")

    def before(self, watch: Watch) -> list[_Noted]:
        """Begin to take note, of the classes that are loaded."""
        noted: list[_Noted] = []
        for kind in _KINDS:
            found = getattr(sys.modules.get(kind.module), kind.name, None)
            if isinstance(found, type):
                watch.test.replace(found, "__init__", _noting(watch, noted, kind))
                for name in kind.ends:
                    watch.test.replace(found, name, _ending(noted))
        return noted

    def after(self, watch: Watch, state: list[_Noted]) -> Iterator[Accusation]:
        """Accuse those that are open."""
        kinds = {id(each.thing()): each.kind for each in state}
        alive = [Made(each.thing(), each.site) for each in state if each.thing() is not None]
        for made in watch.left(alive, lambda client: not kinds[id(client)].is_closed(client)):
            yield _accused(kinds[id(made.thing)], made.site)
        for each in state:
            if each.is_dropped():
                yield _accused(each.kind, each.site)


def _noting(watch: Watch, noted: list[_Noted], kind: _Kind) -> Callable[..., None]:
    def initialize(original: Callable[..., None], client: Any, *args: Any, **kwargs: Any) -> None:
        original(client, *args, **kwargs)
        is_nothing = kind.ends and kind.is_closed(client)
        if watch.test.owns_this() and not is_nothing and not _is_noted(noted, client):
            noted.append(_Noted(client, kind, site_here()))

    return initialize


def _ending(noted: list[_Noted]) -> Callable[..., Any]:
    def end(original: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
        for each in noted:
            each.ended = each.ended or each.thing() is client
        return original(client, *args, **kwargs)

    return end


def _is_noted(noted: list[_Noted], client: Any) -> bool:
    """Tell whether a client is noted: its class may derive from a class that is listed, too."""
    return any(each.thing() is client for each in noted)


def _accused(kind: _Kind, site: CallSite | None) -> Accusation:
    remedy = CLIENT if kind.check == "client" else POOL
    return accuse(kind.check, remedy, f"a {kind.module.partition('.')[0]}.{kind.name} was not closed", site)
