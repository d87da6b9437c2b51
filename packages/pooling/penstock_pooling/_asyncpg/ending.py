"""Ends the session of a connection that was cut off, and waits until the server has let go of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

from asyncpg import connect_utils

__all__ = ["Ending", "backend_of", "cancel_query"]

GRACE = 0.05  # seconds for a session that goes by itself, as it does when it is idle


class Ending:
    """A session whose connection is being cut off; to be made before the event loop has closed its socket.

    It holds the line by another handle: what comes over it at last is that the server has closed its end.

    Args:
        connection: The connection.
        backend: The number and the secret of the server's process.

    Raises:
        OSError: There is no line any more.
    """

    def __init__(self, connection: Any, backend: tuple[Any, Any]) -> None:
        line = connection._transport.get_extra_info("socket")
        if line is None:
            raise OSError("no socket")
        self._line = socket.socket(fileno=os.dup(line.fileno()))
        self._line.settimeout(0)
        self._connection = connection
        self._backend = backend

    async def reached(self, patience: float) -> None:
        """Wait until the session has ended; its query is cancelled if it goes on.

        Args:
            patience: How many seconds to wait at most.
        """
        try:
            async with asyncio.timeout(patience):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GRACE):
                        return await self._closed()
                with contextlib.suppress(Exception):  # then the query ends by itself, or patience does
                    await cancel_query(self._connection, self._backend)
                self._line.shutdown(socket.SHUT_WR)
                await self._closed()
        except (OSError, TimeoutError):
            pass
        finally:
            self._line.close()

    async def _closed(self) -> None:
        while await asyncio.get_running_loop().sock_recv(self._line, 65_536):
            pass


def backend_of(connection: Any) -> tuple[Any, Any]:
    """Return the number and the secret of the server's process of a connection."""
    return connection._protocol.backend_pid, connection._protocol.backend_secret


async def cancel_query(connection: Any, backend: tuple[Any, Any]) -> None:
    """Cancel what a server's process runs, by a line of its own, as `backend` is known and its connection may be lost.

    Raises:
        OSError: The server cannot be reached.
    """
    await connect_utils._cancel(
        loop=asyncio.get_running_loop(),
        addr=connection._addr,
        params=connection._params,
        backend_pid=backend[0],
        backend_secret=backend[1],
    )
