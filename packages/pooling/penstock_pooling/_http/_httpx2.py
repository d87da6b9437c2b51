"""What guards, pools and lends the clients of httpx2."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar, Self

import httpx2

from penstock_pooling._http._client_errors import ClientErrors
from penstock_pooling._http._policy_transport import GuardedStream, GuardedTransport
from penstock_pooling._http._pooled_transport import PooledStream, PooledTransport
from penstock_pooling._http._transport_clients import TransportClients

__all__ = ["CLIENTS", "PolicyTransport"]

_ERRORS = ClientErrors(timeout=httpx2.TimeoutException, transport=httpx2.TransportError)


class _GuardedStream(GuardedStream, httpx2.AsyncByteStream):
    pass


class PolicyTransport(GuardedTransport, httpx2.AsyncBaseTransport):
    """Sends every request of a client of httpx2 under a policy: `penstock_pooling.PolicyTransport`, for httpx2."""

    _module: ClassVar[ModuleType] = httpx2
    _stream = _GuardedStream
    _errors = _ERRORS


class _PooledStream(PooledStream, httpx2.AsyncByteStream):
    pass


class _PooledTransport(PooledTransport, httpx2.AsyncBaseTransport):
    _stream = _PooledStream
    _errors = _ERRORS
    _pool_timeout = httpx2.PoolTimeout


class _LentClient(httpx2.AsyncClient):
    """A client that many have at once: closing it is not for them to do."""

    async def aclose(self) -> None:
        """Do nothing: the client is somebody else's, too."""

    async def close_for_all(self) -> None:
        """Close it."""
        await super().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Do nothing: the client is somebody else's, too."""


CLIENTS = TransportClients(httpx2, PolicyTransport, _PooledTransport, _LentClient)
