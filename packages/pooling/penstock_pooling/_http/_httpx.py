"""What guards, pools and lends the clients of httpx."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar, Self

import httpx

from penstock_pooling._http._client_errors import ClientErrors
from penstock_pooling._http._policy_transport import GuardedStream, GuardedTransport
from penstock_pooling._http._pooled_transport import PooledStream, PooledTransport
from penstock_pooling._http._transport_clients import TransportClients

__all__ = ["CLIENTS", "PolicyTransport"]

_ERRORS = ClientErrors(timeout=httpx.TimeoutException, transport=httpx.TransportError)


class _GuardedStream(GuardedStream, httpx.AsyncByteStream):
    pass


class PolicyTransport(GuardedTransport, httpx.AsyncBaseTransport):
    __doc__ = GuardedTransport.__doc__

    _module: ClassVar[ModuleType] = httpx
    _stream = _GuardedStream
    _errors = _ERRORS


class _PooledStream(PooledStream, httpx.AsyncByteStream):
    pass


class _PooledTransport(PooledTransport, httpx.AsyncBaseTransport):
    _stream = _PooledStream
    _errors = _ERRORS
    _pool_timeout = httpx.PoolTimeout


class _LentClient(httpx.AsyncClient):
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


CLIENTS = TransportClients(httpx, PolicyTransport, _PooledTransport, _LentClient)
