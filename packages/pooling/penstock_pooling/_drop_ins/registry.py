"""The pools of a process: one for each set of arguments and, for tasks, each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from penstock_limits import Resource, enter_resource, leave_resource

from penstock_pooling._pools.environment import environment

__all__ = ["Registry", "key_of", "server_of"]

SWEEP_EVERY = 10.0  # seconds between two looks at what nobody has needed for long


class _Pool(Resource, Protocol):
    environment: tuple[Any, ...] | None

    def close(self) -> None: ...

    def close_idle(self, now: float) -> None: ...


P = TypeVar("P", bound=_Pool)


class Registry(Generic[P]):
    """Pools that are made when they are first asked for.

    Args:
        make: Makes a pool of a name.
        driver: What its name begins with.
        by_loop: Whether each event loop has its own.
    """

    def __init__(self, make: Callable[[str], P], driver: str, *, by_loop: bool = False) -> None:
        self._make = make
        self._driver = driver
        self._by_loop = by_loop
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pools: dict[Hashable, P] = {}
        self._pools_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, P]] = WeakKeyDictionary()
        self._ends: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[None]] = WeakKeyDictionary()
        self._swept = time.monotonic()

    def pool(self, key: Hashable, name: Callable[[], str]) -> P:
        """Return the pool of a key, made with a name if there is none."""
        if self._pid != os.getpid():  # sessions of the parent are the parent's; the drivers leave them alone
            self._start()
        self._sweep()
        pools = self._here()
        pool = pools.get(key)
        if pool is None:
            with self._lock:
                pool = pools.get(key)
                if pool is None:
                    pool = pools[key] = self._make(self._free_name(f"{self._driver} {name()}"))
                    pool.environment = environment()
                    enter_resource(pool)
        return pool

    def close(self) -> None:
        """Close what nobody has; what is out is closed when it comes back."""
        if self._pid == os.getpid():
            with self._lock:
                pools = list(self._all())
            for pool in pools:
                pool.close()

    def _here(self) -> dict[Hashable, P]:
        if not self._by_loop:
            return self._pools
        loop = asyncio.get_running_loop()
        pools = self._pools_of_loops.get(loop)
        if pools is None:
            with self._lock:
                pools = self._pools_of_loops[loop] = {}
                self._ends[loop] = _begun(_until_the_end(pools))
        return pools

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept < SWEEP_EVERY:
            return
        self._swept = now
        with self._lock:
            pools = list(self._all())
            closed = [loop for loop in self._pools_of_loops if loop.is_closed()]
            left = [pool for loop in closed for pool in self._pools_of_loops.pop(loop).values()]
        for pool in left:
            pool.close()
            leave_resource(pool)
        for pool in pools:
            pool.close_idle(now)

    def _all(self) -> Iterator[P]:
        yield from self._pools.values()
        for pools in list(self._pools_of_loops.values()):
            yield from pools.values()

    def _free_name(self, name: str) -> str:
        """Return a name that no other pool has; those of another event loop may."""
        taken = {pool.name for pool in self._here().values()}
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        return free


async def _until_the_end(pools: Mapping[Hashable, _Pool]) -> AsyncGenerator[None]:
    """Close pools when their event loop ends: it closes the generators that began in it."""
    try:
        yield
    finally:
        for pool in pools.values():
            pool.close()
            leave_resource(pool)


def _begun(generator: AsyncGenerator[None]) -> AsyncGenerator[None]:
    with contextlib.suppress(StopIteration):
        generator.__anext__().__await__().__next__()
    return generator


def key_of(arguments: Mapping[str, Any]) -> Hashable:
    """Return what a set of arguments is known by, with the environment that completes them; None if it cannot be.

    `1`, `1.0` and `True` are equal, and not the same to a driver.
    """
    key = (environment(), tuple((name, type(value), value) for name, value in sorted(arguments.items())))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def server_of(told: Mapping[str, Any]) -> str:
    """Return where parameters of libpq connect to, without a secret."""
    host = told.get("host") or told.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    port = told.get("port") or os.environ.get("PGPORT") or "5432"
    database = told.get("dbname") or os.environ.get("PGDATABASE") or told.get("user") or os.environ.get("PGUSER") or ""
    return f"{host}:{port}/{database}"
