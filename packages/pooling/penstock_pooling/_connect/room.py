"""The pools of the drop-in: where they are, and for how long."""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from penstock_limits import Mode, configuration, enter_resource, mode_of
from penstock_limits.forks import after_fork

from penstock_pooling._asyncpg.forks import forks
from penstock_pooling._connect.arguments import ConnectArguments
from penstock_pooling._connect.connect_pool import ConnectPool, ReturnCounters
from penstock_pooling._pools.capability import CAPABILITY

__all__ = ["ConnectStatistics", "drop_in", "room_here"]

MANY = 32  # pools of one loop, from which on those that have nothing open make place


@dataclass(frozen=True, slots=True)
class ConnectStatistics:
    """A snapshot of what `connect()` has done in this process.

    Attributes:
        mode: The mode of its capability now.
        off: Calls in mode off.
        observed: Calls in mode observe.
        pooled: Calls in mode enforce that went to a pool.
        unpooled: Calls in mode enforce that went to `asyncpg.connect`, because of their arguments.
        pools: Pools that it has now.
        cleaned: Connections that came back with something left in their session, and were made fresh.
        discarded: Connections that could not be made fresh, and were closed.
        dropped: Connections that were forgotten without being closed.
    """

    mode: Mode
    off: int
    observed: int
    pooled: int
    unpooled: int
    pools: int
    cleaned: int
    discarded: int
    dropped: int


class DropIn:
    """What `connect()` counts, over all event loops; a resource of the kind `connect`."""

    name = "asyncpg.connect"
    kind = "connect"

    def __init__(self) -> None:
        self.rooms: dict[AbstractEventLoop, Room] = {}
        self.of_parents: list[Room] = []  # kept as they are in a forked child, so that nothing is closed there
        self._begin()
        enter_resource(self)
        after_fork(self._begin)

    def _begin(self) -> None:
        """Count from 0, as in a forked child."""
        self.lock = threading.Lock()
        self.off = self.observed = self.pooled = self.unpooled = 0
        self.returns = ReturnCounters()

    def __repr__(self) -> str:
        return f"<connect {mode_of(CAPABILITY)}: {self._pools()} pools>"

    def statistics(self) -> ConnectStatistics:
        """Return a snapshot of its counters."""
        return ConnectStatistics(
            mode=mode_of(CAPABILITY),
            off=self.off,
            observed=self.observed,
            pooled=self.pooled,
            unpooled=self.unpooled,
            pools=self._pools(),
            cleaned=self.returns.cleaned,
            discarded=self.returns.discarded,
            dropped=self.returns.dropped,
        )

    def unique(self, name: str) -> str:
        """Return a name for a new pool: pools with other arguments may be of the same host and database."""
        # Of copies: the loops of other threads open and leave pools meanwhile.
        taken = {pool.name for room in self._open_rooms() for pool in list(room.pools.values())}
        numbered = (f"{name} #{number}" for number in itertools.count(2))
        return name if name not in taken else next(each for each in numbered if each not in taken)

    def _pools(self) -> int:
        return sum(len(room.pools) for room in self._open_rooms())

    def _open_rooms(self) -> list[Room]:
        return [room for room in list(self.rooms.values()) if not room.loop.is_closed()]

    def enter(self, room: Room) -> None:
        """Take a new room; let those go whose loops are closed."""
        with self.lock:
            rooms = list(self.rooms.values())
            self.of_parents += [each for each in rooms if each.forks != room.forks]
            self.rooms = {each.loop: each for each in rooms if each.forks == room.forks and not each.loop.is_closed()}
            self.rooms[room.loop] = room


class Room:
    """The pools of one event loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.forks = forks.watch()
        self.pools: dict[tuple[Any, ...], ConnectPool] = {}
        self.is_over = False
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()
        self._config = configuration()
        self._until_the_end = _until_the_end(self)

    async def open(self) -> None:
        """Have it ended by the end of its loop: that finishes asynchronous generators."""
        await anext(self._until_the_end)

    async def pool(self, wanted: ConnectArguments) -> ConnectPool | None:
        """Return the pool of connect arguments; None if one would hardly serve anybody else."""
        self._follow_configuration()
        if (pool := self.pools.get(wanted.key)) is not None:
            return pool
        if not self._knows(wanted.by_identity):
            return None
        if len(self.pools) >= MANY:
            self.pools = {key: pool for key, pool in self.pools.items() if not pool.is_unused()}
        pool = self.pools[wanted.key] = ConnectPool(
            drop_in.unique(wanted.name()),
            max_size=self._config.rag_pool_max_size,
            dsn=wanted.dsn,
            arguments=wanted.arguments,
            record_class=wanted.record_class,
            completed_by=wanted.completed_by,
            counters=drop_in.returns,
            has_enough=self._has_enough,
        )
        await pool  # which waits for nothing, as nothing is opened yet
        return pool

    async def close(self, timeout: float | EllipsisType | None) -> None:  # noqa: ASYNC109 - as the pools have it
        """Wait for what is out, and close all pools."""
        pools, self.pools = self.pools, {}
        await asyncio.gather(*(pool.close(timeout=timeout) for pool in pools.values()))

    async def end(self) -> None:
        """Close what is idle, and wait for nobody."""
        self.is_over = True
        pools, self.pools = self.pools, {}
        await asyncio.gather(*(pool.retire() for pool in pools.values()), return_exceptions=True)

    def _knows(self, by_identity: tuple[Any, ...]) -> bool:
        """Tell whether arguments that are equal only to themselves have come before.

        Those that are made for each call never have, and a pool for each of them would be none.
        """
        known = [argument in self._seen for argument in by_identity]
        try:
            self._seen.update(by_identity)
        except TypeError:  # nobody could tell when such an argument is gone
            return False
        return all(known)

    def _has_enough(self) -> bool:
        """Tell whether as many connections are idle, or soon will be, over all pools, as one pool may have."""
        if len(self.pools) == 1:
            return False
        idle: int = sum(pool.get_idle_size() + pool.soon_idle for pool in self.pools.values())
        return idle >= self._config.rag_pool_max_size

    def _follow_configuration(self) -> None:
        config = configuration()
        if config is not self._config:
            self._config = config
            for pool in self.pools.values():
                pool.resize(max_size=config.rag_pool_max_size)


async def _until_the_end(room: Room) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await room.end()


drop_in = DropIn()


async def room_here() -> Room | None:
    """Return the pools of the running event loop; None if that is about to end."""
    loop = asyncio.get_running_loop()
    room = drop_in.rooms.get(loop)
    if room is None or room.forks != forks.count:
        if getattr(loop, "_asyncgens_shutdown_called", False):
            return None
        room = Room(loop)
        drop_in.enter(room)
        await room.open()
    return None if room.is_over else room
