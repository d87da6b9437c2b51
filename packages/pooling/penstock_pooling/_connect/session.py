"""A connection as the drop-in's pools keep it: it is made fresh when it comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from penstock_pooling._connect.session_state import NOTHING, SessionState

__all__ = ["LastingStateError", "Session"]

_FRESH = "DISCARD ALL"  # beyond asyncpg's own reset: role, temporary tables, prepared statements, sequences, plans


class LastingStateError(Exception):
    """A session has something that only its end takes away.

    Args:
        what: That.
    """


class Session(asyncpg.Connection):  # type: ignore[misc]
    """A connection that its borrower never sees: each gets a connection object of its own, upon the same protocol.

    Attributes:
        state: What its last borrower has left, as far as it is known.
        codecs: The types for which that borrower has set a codec.
    """

    __slots__ = ("codecs", "state")

    _protocol: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state: SessionState = NOTHING
        self.codecs: frozenset[int] = frozenset()

    def __del__(self) -> None:
        """Say nothing: it is no fault of the program if it ends with connections that nobody has."""

    def holder(self) -> Any:
        """Return its place in the pool; None if the connection is closed."""
        return None if self._pool_holder is None else self._pool_holder()

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as asyncpg has it
        """Make the session as fresh as a new one.

        Args:
            timeout: How many seconds that may take.

        Raises:
            Exception: It cannot be made so, and is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._reset_on_server(timeout)
        except TimeoutError:
            raise  # no time is left for closing it: it is cut off
        except Exception:
            await self.close(timeout=timeout)
            raise
        settings = self._protocol.get_settings()
        for oid in self.codecs:
            settings.remove_python_codec(oid, "", "")
        settings.clear_type_cache()  # types may be altered until somebody else needs them
        self.state, self.codecs = NOTHING, frozenset()

    async def _reset_on_server(self, timeout: float | None) -> None:  # noqa: ASYNC109 - in place of command_timeout
        if self.state.lasting:
            raise LastingStateError(", ".join(sorted(self.state.lasting)))
        if self._protocol.is_in_transaction():
            await self.execute("ROLLBACK", timeout=timeout)
        await self.execute(_FRESH, timeout=timeout)
        if self.state.custom and await self._knows_custom_settings(timeout):
            raise LastingStateError("settings of no extension: " + ", ".join(sorted(self.state.custom)))

    async def _knows_custom_settings(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - likewise
        tests = " OR ".join(f"current_setting('{name}', true) = ''" for name in self.state.custom)
        question = await self.prepare(f"SELECT coalesce({tests}, false)", name="", timeout=timeout)
        return bool(await question.fetchval(timeout=timeout))
