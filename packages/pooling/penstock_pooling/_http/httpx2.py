"""The policy transport and the clients of httpx2."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import httpx2

from penstock_pooling._http.policy_transport import GuardedTransport
from penstock_pooling._http.transport_clients import TransportClients

__all__ = ["CLIENTS", "PolicyTransport"]


class PolicyTransport(GuardedTransport, httpx2.AsyncBaseTransport):
    """Sends every request of a client of httpx2 under a policy: `penstock_pooling.PolicyTransport`, for httpx2."""

    _module: ClassVar[ModuleType] = httpx2


CLIENTS = TransportClients(httpx2, PolicyTransport)
