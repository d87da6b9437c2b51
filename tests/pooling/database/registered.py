"""What the registry holds of the drop-in for `asyncpg.connect`, among the pools of all other tests and drivers."""

from __future__ import annotations

import asyncio

import penstock_limits
import penstock_pooling
from penstock_pooling._connect.connect_pool import ConnectPool
from penstock_pooling._connect.room import ConnectStatistics


def open_pools() -> list[ConnectPool]:
    """Return the pools whose loops are not closed."""
    found = [each for each in penstock_limits.resources() if isinstance(each, ConnectPool)]
    return [each for each in found if not each._loop.is_closed()]


def pools() -> list[ConnectPool]:
    """Return the pools of this loop."""
    return [each for each in open_pools() if each._loop is asyncio.get_running_loop()]


def the_pool() -> ConnectPool:
    """Return the one pool of this loop."""
    (pool,) = pools()
    return pool


def statistics() -> ConnectStatistics:
    """Return what was counted, in all loops, from the first test on."""
    assert penstock_pooling.connect
    (resource,) = [each for each in penstock_limits.resources() if each.kind == "connect"]
    return resource.statistics()
