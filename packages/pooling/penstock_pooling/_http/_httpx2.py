"""What guards requests of httpx2."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import httpx2

from penstock_pooling._http._client_errors import ClientErrors
from penstock_pooling._http._policy_transport import GuardedStream, GuardedTransport

__all__ = ["PolicyTransport"]


class _Stream(GuardedStream, httpx2.AsyncByteStream):
    pass


class PolicyTransport(GuardedTransport, httpx2.AsyncBaseTransport):
    __doc__ = GuardedTransport.__doc__

    _module: ClassVar[ModuleType] = httpx2
    _stream = _Stream
    _errors = ClientErrors(timeout=httpx2.TimeoutException, transport=httpx2.TransportError)
