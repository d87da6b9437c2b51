"""What the tests of the monitor share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock_limits import enter_resource, leave_resource

LIMIT = 60.0  # seconds that a state is waited for


async def until(is_so: Callable[[], Any]) -> Any:
    """Wait for a state, and return what says that it has come."""
    deadline = time.monotonic() + LIMIT
    while not (so := is_so()):
        assert time.monotonic() < deadline, "the state that was waited for did not come"
        await asyncio.sleep(0.002)
    return so


def wait_for(is_so: Callable[[], Any]) -> None:
    """Wait for a state, in a thread."""
    deadline = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < deadline, "the state that was waited for did not come"
        time.sleep(0.002)


@dataclass(frozen=True)
class Numbers:
    running: int = 1
    max_running: int = 4
    queued: int = 0


class Fake:
    """A resource of somebody else's, for as long as a block runs."""

    def __init__(self, kind: str, name: str, statistics: Any) -> None:
        self.kind, self.name, self.told = kind, name, statistics
        self.asked = 0

    def statistics(self) -> Any:
        self.asked += 1
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def __enter__(self) -> Fake:
        enter_resource(self)
        return self

    def __exit__(self, *_: object) -> None:
        leave_resource(self)
