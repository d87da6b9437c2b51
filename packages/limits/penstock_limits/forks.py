"""What a forked child begins anew: for packages that keep locks, threads or connections."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Hashable
from types import MethodType
from typing import Any
from weakref import ref

__all__ = ["after_fork"]

logger = logging.getLogger("penstock.limits")


class _Method(ref[Any]):
    """A method, for as long as its object is alive: `WeakMethod` at a third of the price, as many ask."""

    __slots__ = ("function", "key")

    function: Callable[[Any], object]
    key: Hashable


class _Renewals:
    """All that is to be called in a child, in the order in which it was first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._follows = False
        self._known: dict[Hashable, _Method | Callable[[], object]] = {}

    def add(self, renew: Callable[[], object]) -> None:
        if isinstance(renew, MethodType):
            self._add_method(renew)
        else:
            self._known.setdefault(renew, renew)
        self._follow()

    def _add_method(self, renew: MethodType) -> None:
        key = (id(renew.__self__), renew.__func__)  # objects may be equal, or without a hash
        if key not in self._known:
            method = _Method(renew.__self__, self._forget)
            method.function, method.key = renew.__func__, key
            self._known.setdefault(key, method)

    def _forget(self, method: _Method) -> None:
        self._known.pop(method.key, None)  # without a lock: the collector may come at any time

    def _follow(self) -> None:
        if self._follows or not hasattr(os, "register_at_fork"):
            return
        with self._lock:
            if not self._follows:
                os.register_at_fork(after_in_child=self._renew)
                self._follows = True

    def _renew(self) -> None:
        self._lock = threading.Lock()  # who held it may not be here to give it back
        for each in list(self._known.values()):
            try:
                if not isinstance(each, _Method):
                    each()
                elif (owner := each()) is not None:
                    each.function(owner)
            except Exception:
                logger.exception("in a forked child: %r failed", getattr(each, "function", each))


_renewals = _Renewals()


def after_fork(renew: Callable[[], object]) -> None:
    """Have something called in every child that is forked from now on: once, however often this is asked for.

    A child has only the thread that forked. What its parent's other threads held or were about to do stays as it was:
    a lock is never given back, a connection is the parent's. It is called before the child goes on, in the order in
    which it was first asked for; an error is logged and keeps nothing else from being called. Where there is no fork,
    nothing is.

    Args:
        renew: Takes no argument, waits for nothing and takes no lock. A method is kept only as long as its object is
            alive, anything else as long as the process.

    Raises:
        TypeError: Its object is of a class with `__slots__` that lack `__weakref__`.
    """
    _renewals.add(renew)
