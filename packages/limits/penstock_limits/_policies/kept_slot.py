"""A call under a policy that goes on after its block: a response whose body is still to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from penstock_limits._policies.deadlines import Deadline
    from penstock_limits._policies.slot import Slot

__all__ = ["KeptSlot"]

T = TypeVar("T")


class KeptSlot:
    """A call that has left its block and has not ended yet. Made by `Slot.keep()`.

    It ends with `close()`. One that nobody can reach any more ends when it is collected, and counts as nothing then.
    """

    __slots__ = ("__weakref__", "_deadline", "_slot", "_when")

    def __init__(self, slot: Slot, deadline: Deadline | None) -> None:
        self._slot = slot
        self._deadline = deadline  # the one that passes first
        self._when = None if deadline is None else deadline.when

    def __repr__(self) -> str:
        return f"<KeptSlot of policy {self._slot._policy.name!r}: {'under way' if self._slot._is_kept else 'ended'}>"

    def __del__(self) -> None:
        self._slot._end_kept(GeneratorExit(), collected=True)

    def close(self, error: BaseException | None = None) -> None:
        """End the call; once, however often it is called, in any task and in any thread.

        Args:
            error: What it counts as, as if its block had raised it; None if it went well.
        """
        self._slot._end_kept(error)

    async def in_time(self, part: Awaitable[T]) -> T:
        """Wait for a part of the call, such as a piece of the body, for what is left of the policy's deadlines.

        The time that passes between such parts counts, but nothing is cancelled in it. To be used in the loop in
        which the call began.

        Args:
            part: The part. It is cancelled when the time is over.

        Returns:
            Its result.

        Raises:
            CallTimeoutError: The total timeout or the attempt timeout has passed.
        """
        if self._deadline is None:
            return await part
        scope = asyncio.timeout_at(self._when)
        try:
            async with scope:
                return await part
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._deadline.error() from error
