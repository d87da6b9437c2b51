"""The policy transport and the clients of httpx."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import httpx

from penstock_pooling._http.policy_transport import GuardedTransport
from penstock_pooling._http.transport_clients import TransportClients

__all__ = ["CLIENTS", "PolicyTransport"]


class PolicyTransport(GuardedTransport, httpx.AsyncBaseTransport):
    """Sends every request of a client under a policy: breaker, limiter, rate, deadlines, learning from headers.

    The permit is kept until the response has been read or is closed, so a stream counts as running while it runs; one
    that is forgotten gives it back when it is collected. The client gets the same response as without a policy: 429,
    503 and other errors count, and raise nothing here. A policy's refusal is raised as an error of both penstock and
    the client.

    It sends a request once: `retry` of the policy is not used here, as the body of a request may not be there for a
    second time. What repeats requests above it - an SDK, a `Retry` around the call - comes through here each time.

    Args:
        policy: The policy, or its name: `[tool.penstock.policies.NAME]`.
        transport: What sends; None for the client's own transport with its defaults. Closed with this one.
        amounts: Says of a request how much it will take of the rate, `lambda request: {"tokens": 1_200}`; None for
            one request and nothing else.

    Raises:
        ConfigurationError: A value is wrong.
        UnknownPolicyError: There is no policy of this name.
    """

    _module: ClassVar[ModuleType] = httpx


CLIENTS = TransportClients(httpx, PolicyTransport)
