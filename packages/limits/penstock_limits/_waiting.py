"""Who waits in a limiter's queue."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, ClassVar, Protocol

__all__ = ["TaskWaiter", "Waiter"]


class Waiter(Protocol):
    """Somebody in a limiter's queue.

    Attributes:
        stays: Whether a freed permit sends it to the queue's end, until it leaves, and not out of the queue.
    """

    stays: ClassVar[bool]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop in which it waits."""
        ...

    def admit(self, *, queued: bool) -> bool:
        """Take over a permit; called without a lock held, in whatever thread and task freed it.

        No code of users may run within: it would run in the task, and fail in the face, of a stranger.

        Args:
            queued: Whether it is still in the queue.

        Returns:
            False if its loop is closed; then it has not taken the permit.
        """
        ...

    def drop(self) -> None:
        """Take note that it was taken out of the queue, as its loop is closed."""


class TaskWaiter:
    """A task that waits for one permit.

    Attributes:
        dropped: Whether it left the queue without a permit, as its loop is closed.
    """

    __slots__ = ("_future", "dropped")
    stays: ClassVar[bool] = False

    def __init__(self) -> None:
        self.dropped = False
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Generator[Any, None, None]:
        return self._future.__await__()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._future.get_loop()

    def admit(self, *, queued: bool) -> bool:  # noqa: ARG002 - it never stays
        loop = self._future.get_loop()
        if asyncio._get_running_loop() is loop:
            self._wake()
            return True
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop was closed with this task still waiting
            self.dropped = True
            return False
        return True

    def drop(self) -> None:
        self.dropped = True

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)
