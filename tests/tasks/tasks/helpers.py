"""What the tests of tasks share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def reported() -> Iterator[list[BaseException]]:
    """Record what is reported to the running loop, in place of logging it."""
    loop, found = asyncio.get_running_loop(), []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        found.append(context.get("exception") or RuntimeError(context["message"]))

    before = loop.get_exception_handler()
    loop.set_exception_handler(note)
    try:
        yield found
    finally:
        loop.set_exception_handler(before)


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def stubborn(until: asyncio.Event) -> str:
    """Swallow every cancellation until it may end."""
    while not until.is_set():
        with suppress(asyncio.CancelledError):
            await until.wait()
    return "ended at last"
