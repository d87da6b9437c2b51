"""A pool of connections that cannot lose them for ever, for httpx and httpx2.

The pool of httpcore loses connections when requests are cancelled at the wrong moment (encode/httpcore#1093): they
count as open, and nobody can use them any more. So nobody waits in that pool. A limiter in front admits as many
requests as it has connections; whoever is admitted and finds none there nevertheless proves that some are lost. Then
the pool is replaced; nothing of that request has been sent. The old one is closed when its last response is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

from penstock_limits import Hold, Limiter

from penstock_pooling._http.client_classes import as_stream
from penstock_pooling._http.client_errors import ClientErrors

__all__ = ["PooledTransport", "check_home"]

_AT_ONCE = 0.0


class Pool:
    """Connections that are replaced as a whole.

    Attributes:
        transport: The client's own transport.
        using: Requests and responses that are on it.
    """

    __slots__ = ("transport", "using")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.using = 0


class Stay:
    """One request's place in a pool, from its admission to the end of its response."""

    __slots__ = ("_hold", "_owner", "pool")

    def __init__(self, owner: PooledTransport, hold: Hold, pool: Pool) -> None:
        self._owner = owner
        self._hold = hold
        self.pool = pool
        pool.using += 1
        owner.stays.add(self)

    def move(self, pool: Pool) -> None:
        """Go to another pool."""
        left, self.pool = self.pool, pool
        left.using -= 1
        pool.using += 1
        self._owner.close_if_left(left)

    def end(self) -> None:
        """Leave; once."""
        self._owner.stays.discard(self)
        self.pool.using -= 1
        self._hold.close()
        self._owner.close_if_left(self.pool)


class PooledStream:
    """The body of a response, which keeps its place until it is at its end, is closed, or is collected."""

    def __init__(self, stream: Any, stay: Stay, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._stay: Stay | None = stay
        self._loop = loop

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close it."""
        stay, self._stay = self._stay, None
        if stay is None:
            return
        try:
            await self._stream.aclose()
        finally:
            stay.end()

    def __del__(self) -> None:
        if self._stay is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed, and with it the connection
                self._loop.call_soon_threadsafe(self._stay._owner.close_forgotten, self._stream, self._stay)


class PooledTransport:
    """Sends requests of one event loop over a bounded number of connections.

    Args:
        module: The client's module.
        make: Makes the client's own transport.
        limiter: Admits as many requests as there may be connections.
        replaced: Called when a pool has been replaced, with how many requests were on it.
    """

    def __init__(
        self, module: ModuleType, make: Callable[[], Any], limiter: Limiter, replaced: Callable[[int], None]
    ) -> None:
        self._module = module
        self._errors = ClientErrors.of(module)
        self._stream = as_stream(PooledStream, module)
        self._make = make
        self._limiter = limiter
        self._replaced = replaced
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._pool = Pool(make())
        self._retired: set[Pool] = set()  # in whose place there are others, or none
        self._closed = False
        # Kept alive here: a hold that is collected together with a forgotten response gives its permit back at once,
        # and the connection is free only when that response has been closed.
        self.stays: set[Stay] = set()
        self._chores: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<PooledTransport with {self._limiter!r}>"

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request when a connection is free for it, and return its response.

        Raises:
            RuntimeError: It is another process or event loop than the one that the client was opened in.
        """
        check_home(self._process, self._loop)
        timeouts = request.extensions.get("timeout", {})
        with self._errors.spoken(request):
            hold = await self._limiter.hold(timeout=timeouts.get("pool"))
        stay = Stay(self, hold, self._pool)
        try:
            response = await self._send(self._at_once(request, timeouts), stay)
        except BaseException:
            stay.end()
            raise
        response.stream = self._stream(response.stream, stay, self._loop)
        return response

    def _at_once(self, request: Any, timeouts: dict[str, Any]) -> Any:
        """Return a copy that waits for no connection: the request itself may be under way more than once."""
        extensions = {**request.extensions, "timeout": {**timeouts, "pool": _AT_ONCE}}
        return self._module.Request(
            request.method, request.url, headers=request.headers, stream=request.stream, extensions=extensions
        )

    async def _send(self, request: Any, stay: Stay) -> Any:
        self._check_open()
        try:
            return await stay.pool.transport.handle_async_request(request)
        except self._module.PoolTimeout:
            self._check_open()
        stay.move(self._replaced_by(stay.pool))
        return await stay.pool.transport.handle_async_request(request)

    def _check_open(self) -> None:
        if self._closed:
            raise self._errors.closed()

    def _replaced_by(self, lost: Pool) -> Pool:
        """Return the pool that takes the place of one that has lost connections."""
        if self._pool is lost:  # nobody else has found it out meanwhile
            self._pool = Pool(self._make())
            self._retired.add(lost)
            self._replaced(lost.using - 1)
        return self._pool

    def close_if_left(self, pool: Pool) -> None:
        """Close a pool that gets no more requests, and that nobody uses any more."""
        if pool in self._retired and not pool.using:
            self._retired.discard(pool)
            self._do(pool.transport.aclose())

    def close_forgotten(self, stream: Any, stay: Stay) -> None:
        """Close the body of a response that nobody can reach any more."""
        self._do(_close(stream, stay))

    def _do(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def aclose(self) -> None:
        """Close every connection, and send nothing any more."""
        self._closed = True
        self._retired.add(self._pool)
        for pool in [*self._retired]:
            if not pool.using:  # else it is closed once more: a connection may have been on its way
                self._retired.discard(pool)
            await pool.transport.aclose()
        if self._chores:
            await asyncio.wait(self._chores)


async def _close(stream: Any, stay: Stay) -> None:
    try:
        await stream.aclose()
    finally:
        stay.end()


def check_home(process: int, loop: asyncio.AbstractEventLoop) -> None:
    """Refuse a client that was opened elsewhere.

    Raises:
        RuntimeError: It is another process or event loop than the one that the client was opened in.
    """
    if os.getpid() != process:
        raise RuntimeError("this client was opened before the process was forked: borrow it anew in the child")
    if asyncio.get_running_loop() is not loop:
        raise RuntimeError("this client was opened in another event loop: borrow it anew in this one")
