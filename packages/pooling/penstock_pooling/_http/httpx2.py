"""What guards, pools and lends the clients of httpx2."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import httpx2

from penstock_pooling._http.client_errors import ClientErrors
from penstock_pooling._http.policy_transport import GuardedStream, GuardedTransport
from penstock_pooling._http.pooled_transport import PooledStream, PooledTransport
from penstock_pooling._http.transport_clients import SharedTransport, TransportClients

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
    _module: ClassVar[ModuleType] = httpx2
    _stream = _PooledStream
    _errors = _ERRORS


class _SharedTransport(SharedTransport, httpx2.AsyncBaseTransport):
    pass


CLIENTS = TransportClients(httpx2, PolicyTransport, _PooledTransport, _SharedTransport)
