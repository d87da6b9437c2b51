"""What guards requests of httpx."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import httpx

from penstock_pooling._http._client_errors import ClientErrors
from penstock_pooling._http._policy_transport import GuardedStream, GuardedTransport

__all__ = ["PolicyTransport"]


class _Stream(GuardedStream, httpx.AsyncByteStream):
    pass


class PolicyTransport(GuardedTransport, httpx.AsyncBaseTransport):
    __doc__ = GuardedTransport.__doc__

    _module: ClassVar[ModuleType] = httpx
    _stream = _Stream
    _errors = ClientErrors(timeout=httpx.TimeoutException, transport=httpx.TransportError)
