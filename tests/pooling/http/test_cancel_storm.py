"""Requests that are cancelled at the worst moment: what the stock pool loses for ever, and what ours does about it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from penstock_limits import Event, Limiter, add_listener
from penstock_pooling import ClientSettings, HTTPClientManager
from penstock_pooling._http.client_classes import as_transport
from penstock_pooling._http.pooled_transport import PooledTransport

from tests.pooling.http.stub import Provider

CONNECTIONS = 10
Get = Callable[[], Awaitable[Any]]


async def storm(get: Get, rounds: int, chance: random.Random) -> None:
    """Make 50 requests at once, and cancel most of them at any time; again and again."""
    loop = asyncio.get_running_loop()
    for _ in range(rounds):
        tasks = [asyncio.ensure_future(get()) for _ in range(5 * CONNECTIONS)]
        for task in tasks:
            if chance.random() < 0.7:
                loop.call_later(chance.random() * 0.03, task.cancel)
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


def getter(name: str, client: Any) -> Get:
    async def of_aiohttp() -> int:
        async with client.get("quick") as response:
            return len(await response.read())

    async def of_httpx() -> int:
        return len((await client.get("quick")).content)

    return of_aiohttp if name == "aiohttp" else of_httpx


def settings(name: str, provider: Provider, **options: Any) -> dict[str, ClientSettings]:
    wanted = {"max_connections": CONNECTIONS, "base_url": provider.url + "/", "acquire_timeout": 5.0} | options
    return {"provider": ClientSettings(module=name, **wanted)}


def lose_a_connection(core: Any) -> None:
    """Leave a pool of httpcore as a cancellation may: with a connection that no request has, and that is not idle."""
    lost = core.create_connection(core._connections[0]._origin)
    request = type(core._requests[0])(core._requests[0].request)
    request.assign_to_connection(lost)
    core._connections.append(lost)
    core._requests.append(request)


@contextlib.contextmanager
def events() -> Any:
    seen: list[Event] = []
    remove = add_listener(seen.append)
    try:
        yield seen
    finally:
        remove()


async def test_the_stock_pool_loses_a_connection_whose_request_was_cancelled(provider: Provider) -> None:
    """One that waited, was given a new connection, and was cancelled before it ran: encode/httpcore#1093."""
    waiting: list[asyncio.Task[Any]] = []

    class Transport(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return await super().handle_async_request(request)
            finally:
                if request.url.path == "/wait":
                    waiting[0].cancel()  # just now it was given the connection

    transport = Transport(limits=httpx.Limits(max_connections=1))
    async with httpx.AsyncClient(transport=transport, base_url=provider.url) as client:
        first = asyncio.create_task(client.get("/wait"))
        await provider.arrived.wait()
        waiting.append(asyncio.create_task(client.get("/plain")))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first, waiting[0]])

        with pytest.raises(httpx.PoolTimeout):
            await client.get("/plain", timeout=httpx.Timeout(5, pool=0.1))
        assert repr(transport._pool) == (
            "<AsyncConnectionPool [Requests: 0 active, 0 queued | Connections: 1 active, 0 idle]>"
        )


@pytest.mark.parametrize("name", ["httpx", "httpx2", "aiohttp"])
async def test_ours_does_not_lose_it(name: str, provider: Provider) -> None:
    """Nobody waits in the module's own pool, so nobody is given a connection there while cancelled."""
    async with HTTPClientManager(settings(name, provider, max_connections=1)) as clients:
        async with clients.client("provider") as client:
            first = asyncio.ensure_future(client.get("wait"))
            await provider.arrived.wait()
            second = asyncio.ensure_future(client.get("plain"))
            await asyncio.sleep(0)
            first.cancel()
            asyncio.get_running_loop().call_soon(second.cancel)
            await asyncio.wait([first, second])

            assert await getter(name, client)() == 10
        assert clients.statistics("provider").replaced == 0


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
async def test_a_pool_that_has_lost_connections_replaces_itself_and_says_so(name: str, provider: Provider) -> None:
    """The request that found it out is sent, once; what is under way on the old pool goes on."""
    clients = HTTPClientManager(settings(name, provider, max_connections=2))
    with events() as seen:
        async with clients, clients.client("provider") as client:
            under_way = asyncio.create_task(client.get("wait"))
            await provider.arrived.wait()
            pooled = client._transport._transport
            pool = pooled._pool
            core = pool.transport._pool
            lose_a_connection(core)

            assert await getter(name, client)() == 10
            assert clients.statistics("provider").replaced == 1
            assert pooled._retired == {pool}
            provider.more.set()
            assert (await under_way).status_code == 200
            await asyncio.gather(*pooled._chores)
            assert core.connections == []
            assert pooled._retired == pooled.stays == set()

    assert [(each.name, each.resource, each.details["requests"]) for each in seen] == [
        ("client.pool_replaced", "provider", 1)
    ]


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
async def test_a_response_that_nobody_closed_costs_no_connection(name: str, provider: Provider) -> None:
    """The collector finds it; stock pools lose its connection."""
    async with HTTPClientManager(settings(name, provider, max_connections=1)) as clients:
        async with clients.client("provider") as client:
            response = await client.send(client.build_request("GET", "parts"), stream=True)
            del response
            gc.collect()

            assert await getter(name, client)() == 10
        assert clients.statistics("provider").replaced == 0


class Held:
    """A transport whose requests arrive when they may, and then find no connection, or have one."""

    def __init__(self, answer: Any) -> None:
        self.arrived, self.go_on = asyncio.Event(), asyncio.Event()
        self.answer = answer
        self.closed = 0

    async def handle_async_request(self, _: Any) -> Any:
        self.arrived.set()
        await self.go_on.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def aclose(self) -> None:
        self.closed += 1


def pooled(module: Any, transport: Held) -> Any:
    return as_transport(PooledTransport, module)(
        module, lambda: transport, Limiter("held", max_running=1), lambda _: None
    )


async def test_a_pool_that_is_closed_meanwhile_is_not_replaced(module: Any) -> None:
    """Whoever finds no connection then is told that it is closed."""
    transport = Held(module.PoolTimeout("none"))
    sender = pooled(module, transport)
    async with module.AsyncClient(transport=sender) as client:
        sent = asyncio.create_task(client.get("http://a/"))
        await transport.arrived.wait()
        await sender.aclose()
        transport.go_on.set()
        with pytest.raises(module.TransportError, match="this client is closed and sends nothing any more"):
            await sent


async def test_a_connection_that_is_opened_while_its_pool_is_closed_is_closed_too(module: Any) -> None:
    """When its response is: httpcore would keep it for a next request."""
    transport = Held(module.Response(200, stream=module.ByteStream(b"late")))
    sender = pooled(module, transport)
    async with module.AsyncClient(transport=sender) as client:
        sent = asyncio.create_task(client.get("http://a/"))
        await transport.arrived.wait()
        await sender.aclose()
        assert transport.closed == 1
        transport.go_on.set()
        assert (await sent).text == "late"
        await asyncio.gather(*sender._chores)
        assert transport.closed == 2


@pytest.mark.slow
async def test_the_stock_client_does_not_survive_a_storm(provider: Provider) -> None:
    """With nothing under way some of its connections are still in use, and stay so."""
    limits = httpx.Limits(max_connections=CONNECTIONS)
    chance = random.Random(1)

    def lost() -> list[Any]:
        return [each for each in client._transport._pool.connections if not each.is_idle()]  # type: ignore[attr-defined]

    async with httpx.AsyncClient(limits=limits, base_url=provider.url) as client:
        while not lost():
            await storm(getter("httpx", client), 1, chance)
        before = lost()
        await storm(getter("httpx", client), 3, random.Random(2))

        assert set(before) <= set(lost())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["httpx", "httpx2", "aiohttp"])
async def test_ours_survives_a_storm(name: str, provider: Provider) -> None:
    """Nobody waits in vain, and at the end every connection can be used at once."""
    chance = random.Random(1)
    async with HTTPClientManager(settings(name, provider)) as clients, clients.client("provider") as client:
        await storm(getter(name, client), 100, chance)

        provider.peak = 0
        tasks = [asyncio.ensure_future(client.get("wait")) for _ in range(CONNECTIONS)]
        async with asyncio.timeout(10):
            while provider.open < CONNECTIONS:
                await asyncio.sleep(0.01)
        provider.more.set()
        for response in await asyncio.gather(*tasks):
            await getattr(response, "aread", getattr(response, "read", None))()
        counted = clients.statistics("provider")

    assert counted.running == counted.queued == 0
    assert provider.peak == CONNECTIONS
