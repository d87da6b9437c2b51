"""The smallest honest piece of work: it suspends once."""

from __future__ import annotations

import asyncio


async def work(item: int) -> int:
    await asyncio.sleep(0)
    return item
