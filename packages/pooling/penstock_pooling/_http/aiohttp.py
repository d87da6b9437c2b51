"""What guards and lends the sessions of aiohttp.

Its pool loses no connection when requests are cancelled; it is as good as its limit.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from penstock_limits import Limiter, Policy

from penstock_pooling._http.client_errors import ClientErrors
from penstock_pooling._http.client_settings import ClientSettings
from penstock_pooling._http.client_statistics import Counters
from penstock_pooling._http.guard import Amounts, Guard, counts_as_failure
from penstock_pooling._http.pooled_transport import check_home

__all__ = ["CLIENTS", "policy_middleware"]

_ERRORS = ClientErrors(timeout=aiohttp.ServerTimeoutError, transport=aiohttp.ClientConnectionError)

Handler = Callable[[aiohttp.ClientRequest], Any]


def policy_middleware(policy: Policy | str, *, amounts: Amounts | None = None) -> aiohttp.ClientMiddlewareType:
    """Return a middleware that sends every request of a session under a policy.

    `aiohttp.ClientSession(middlewares=(policy_middleware("openai"),))`. It does what `PolicyTransport` does for httpx,
    but for two things. The deadlines end with the response's headers; for its body there is `aiohttp.ClientTimeout`.
    And a response that is forgotten keeps its permit until its body is at its end, as aiohttp keeps its connection.

    Args:
        policy: The policy, or its name: `[tool.penstock.policies.NAME]`.
        amounts: Says of a request how much it will take of the rate; None for one request and nothing else.

    Raises:
        ConfigurationError: A value is wrong.
        UnknownPolicyError: There is no policy of this name.
    """
    guard = Guard(policy, amounts)

    async def guarded(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        failure = None
        with _ERRORS.spoken(request):
            async with guard.slot(request) as slot:
                response: aiohttp.ClientResponse = await handler(request)
                if counts_as_failure(slot, response.status, response.headers):
                    failure = aiohttp.ClientResponseError(
                        response.request_info, (), status=response.status, message=f"status {response.status}"
                    )
                call = slot.keep()
        content = response.content
        _when_left(response, lambda: call.close(_broken(content) or failure))
        return response

    return guarded


def _when_left(response: aiohttp.ClientResponse, then: Callable[[], None]) -> None:
    """Call a function when a response's connection is free: it was read to its end, or is closed."""
    connection = response.connection
    if connection is None:
        then()
    else:
        connection.add_callback(then)


def _broken(content: aiohttp.StreamReader) -> BaseException | None:
    """Return what the body broke off with; None if it was read, or closed by whoever had it."""
    error = content.exception()
    return None if type(error) is aiohttp.ClientConnectionError else error


def _pooling_middleware(limiter: Limiter, acquire_timeout: float | None) -> aiohttp.ClientMiddlewareType:
    loop, process = asyncio.get_running_loop(), os.getpid()

    async def pooled(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        check_home(process, loop)
        with _ERRORS.spoken(request):
            hold = await limiter.hold(timeout=acquire_timeout)
        try:
            response: aiohttp.ClientResponse = await handler(request)
        except BaseException:
            hold.close()
            raise
        _when_left(response, hold.close)
        return response

    return pooled


def _retrying_middleware(retries: int) -> aiohttp.ClientMiddlewareType:
    async def retried(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        for attempt in range(retries):
            try:
                return await handler(request)  # type: ignore[no-any-return]
            except aiohttp.ClientConnectorError:  # no connection, so nothing was sent
                await asyncio.sleep(0.5 * attempt)  # at once, and then as httpx does
        return await handler(request)  # type: ignore[no-any-return]

    return retried


def _noting_middleware(responses: weakref.WeakSet[Any]) -> aiohttp.ClientMiddlewareType:
    async def noted(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await handler(request)
        responses.add(response)
        return response

    return noted


async def _open_middleware(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
    """Refuse what comes from the queue after its session, or what it shares, was closed."""
    if request.session.closed:
        raise _ERRORS.closed()
    return await handler(request)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the borrowers of an event loop share.

    Attributes:
        connector: The connections.
        middlewares: What requests go through.
        tracing: What counts them.
    """

    connector: aiohttp.BaseConnector
    middlewares: tuple[aiohttp.ClientMiddlewareType, ...]
    tracing: aiohttp.TraceConfig

    @property
    def closed(self) -> bool:
        """Whether a borrower has closed it, by `session.connector`."""
        return self.connector.closed

    async def close(self) -> None:
        """Close it for all."""
        await self.connector.close()


class AiohttpClients:
    """Opens sessions of aiohttp."""

    def __init__(self) -> None:
        self._responses: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Any]] = weakref.WeakKeyDictionary()

    def own(self, settings: ClientSettings, counters: Counters | None) -> Any:
        """Return a session for one borrower; an async context manager."""
        return aiohttp.ClientSession(
            connector=_connector(settings),
            trace_configs=[] if counters is None else [_counting(counters)],
            middlewares=(*_guards(settings), *_retries(settings)),
            **_options(settings),
        )

    def shared(
        self, settings: ClientSettings, counters: Counters, limiter: Limiter, _: Callable[[int], None]
    ) -> Shared:
        """Return what all borrowers of this event loop share."""
        pooling = _pooling_middleware(limiter, settings.timeouts()["pool"])
        return Shared(
            _connector(settings),
            (*_guards(settings), pooling, *_retries(settings), _open_middleware),
            _counting(counters),
        )

    def lent(self, shared: Shared, settings: ClientSettings) -> Any:
        """Return a borrower's session: headers, cookies and the like are its own, connections are shared."""
        responses: weakref.WeakSet[Any] = weakref.WeakSet()
        session = aiohttp.ClientSession(
            connector=shared.connector,
            connector_owner=False,
            trace_configs=[shared.tracing],
            middlewares=(_noting_middleware(responses), *shared.middlewares),
            **_options(settings),
        )
        self._responses[session] = responses
        return session

    async def close(self, session: Any) -> None:
        """Close a borrower's session, and the responses that it has left open, as a connector of its own does."""
        await session.close()
        for response in [*self._responses.get(session, ())]:
            if response.connection is not None:  # else it was received whole, and may be read still
                response.close()


def _connector(settings: ClientSettings) -> aiohttp.BaseConnector:
    return aiohttp.TCPConnector(limit=settings.max_connections, keepalive_timeout=settings.keepalive_expiry)


def _guards(settings: ClientSettings) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    return () if settings.policy is None else (policy_middleware(settings.policy),)


def _retries(settings: ClientSettings) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    return (_retrying_middleware(settings.connect_retries),) if settings.connect_retries else ()


def _options(settings: ClientSettings) -> dict[str, Any]:
    times = settings.timeouts()
    connect = None if times["pool"] is None or times["connect"] is None else times["pool"] + times["connect"]
    return {
        "base_url": settings.base_url or None,
        "headers": settings.all_headers(),
        "timeout": aiohttp.ClientTimeout(
            total=None, connect=connect, sock_connect=times["connect"], sock_read=times["read"]
        ),
    }


def _counting(counters: Counters) -> aiohttp.TraceConfig:
    async def request(*_: Any) -> None:
        counters.requests += 1

    async def connection(*_: Any) -> None:
        counters.connections += 1

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(request)
    tracing.on_request_redirect.append(request)
    tracing.on_connection_create_end.append(connection)
    return tracing


CLIENTS = AiohttpClients()
