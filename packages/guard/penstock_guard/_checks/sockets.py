"""Sockets that a test opens and leaves open."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._watched import Made

__all__ = ["Sockets"]

REMEDY: Final = ("PEN601", "Close what holds the socket: `with`, `async with`, or writer.close() and wait_closed().")
Opened = list[tuple["weakref.ref[socket.socket]", "CallSite | None"]]


class Sockets:
    """Takes note of each `socket.socket`; what the garbage collector has closed is not left."""

    names = ("socket",)

    def before(self, watch: Watch) -> Opened:
        """Begin to take note."""
        opened: Opened = []

        def note(site: CallSite | None, made: socket.socket, *_: Any, **__: Any) -> None:
            opened.append((weakref.ref(made), site))

        watch.test.note(socket.socket, "__init__", note)
        return opened

    def after(self, watch: Watch, state: Opened) -> Iterator[Accusation]:
        """Accuse those that are open."""
        if _open(state):
            gc.collect()
        for made in watch.left(_open(state), lambda _: True):
            yield accuse("socket", REMEDY, f"{_named(made.thing)} was left open", made.site)


def _open(opened: Opened) -> list[Made[socket.socket]]:
    found = [(reference(), site) for reference, site in opened]
    return [Made(each, site) for each, site in found if each is not None and each.fileno() != -1]


def _named(opened: socket.socket) -> str:
    return f"the socket {_address(opened.getsockname)} -> {_address(opened.getpeername)}"


def _address(ask: Any) -> str:
    try:
        address = ask()
    except OSError:
        return "nobody"
    return ":".join(str(part) for part in address[:2]) if isinstance(address, tuple) else str(address) or "unnamed"
