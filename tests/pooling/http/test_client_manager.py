"""Named clients: who shares one, who has one of their own, when they are closed, and what is counted."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import penstock_pooling
import pytest
from penstock_limits import (
    AcquireTimeoutError,
    ConcurrencyManager,
    ConfigurationError,
    Event,
    Limiter,
    Mode,
    add_listener,
    policy,
    resources,
    set_mode_source,
)
from penstock_pooling import ClientSettings, HTTPClientManager, close_clients, configure_clients, http

from tests.limits.gauge import settled
from tests.limits.sources import Source
from tests.pooling.http.stub import Provider
from tests.pooling.waiting import reached

MODULES = ["httpx", "httpx2", "aiohttp"]


@pytest.fixture(params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture(autouse=True)
def no_clients() -> Iterator[None]:
    yield
    configure_clients({})


def settings(name: str, provider: Provider | None = None, **options: Any) -> dict[str, ClientSettings]:
    url = "" if provider is None else provider.url + "/"
    return {"openai": ClientSettings(module=name, base_url=url, **options)}


async def get(client: Any, path: str) -> int:
    """Return the status of a response that has been read."""
    if type(client).__name__ == "ClientSession":
        async with client.get(path) as response:
            await response.read()
            return int(response.status)
    return int((await client.get(path)).status_code)


def closed(client: Any) -> bool:
    return bool(client.closed if type(client).__name__ == "ClientSession" else client.is_closed)


def connections(client: Any) -> Any:
    """Return what a client that is lent shares with the others."""
    return client.connector if type(client).__name__ == "ClientSession" else client._transport._transport


def are_closed(connections: Any) -> bool:
    return bool(connections.closed if hasattr(connections, "closed") else connections._closed)


async def test_borrowers_share_connections(name: str, provider: Provider) -> None:
    """And the next borrower has them still."""
    async with HTTPClientManager(settings(name, provider)) as clients:
        async with clients.client("openai") as first, clients.client("openai") as second:
            assert connections(first) is connections(second)
            assert clients.statistics("openai").lent == 2
            for client in (first, second, first, second):
                assert await get(client, "plain") == 200
        async with clients.client("openai") as third:
            assert await get(third, "plain") == 200
        counted = clients.statistics("openai")

    assert (counted.borrowed, counted.lent, counted.opened) == (3, 0, 1)
    assert (counted.requests, counted.connections) == (5, 1)
    assert len(provider.peers) == 1
    assert closed(first)
    assert closed(third)


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_a_borrower_has_a_client_of_its_own_unless_it_is_enforced(
    name: str, provider: Provider, mode: str
) -> None:
    """It is closed at the end of the block; `observe` counts it."""
    async with HTTPClientManager(settings(name, provider), mode=mode) as clients:
        async with clients.client("openai") as first, clients.client("openai") as second:
            assert first is not second
            assert await get(first, "plain") == await get(second, "plain") == 200
        assert closed(first)
        assert closed(second)
        counted = clients.statistics("openai")

    seen = (counted.borrowed, counted.opened, counted.requests, counted.connections)
    assert seen == ((0, 0, 0, 0) if mode == "off" else (2, 2, 2, 2))


@pytest.mark.parametrize("mode", ["off", "enforce"])
async def test_a_client_is_the_modules_own(name: str, mode: str) -> None:
    """Of its very class."""
    async with HTTPClientManager(settings(name), mode=mode) as clients, clients.client("openai") as client:
        assert type(client).__module__.partition(".")[0] == name
        assert type(client).__name__ in {"AsyncClient", "ClientSession"}


async def test_a_borrower_closes_its_own_client_only(name: str, provider: Provider) -> None:
    """As `async with client` does, and an SDK that is closed; requests of others that are under way go on."""
    async with HTTPClientManager(settings(name, provider)) as clients, clients.client("openai") as other:
        under_way = asyncio.create_task(get(other, "wait"))
        await provider.arrived.wait()
        async with clients.client("openai") as client, client:
            assert await get(client, "plain") == 200
        assert closed(client)
        provider.more.set()
        assert await under_way == 200
        assert await get(other, "plain") == 200
        assert clients.statistics("openai").opened == 1


async def test_connections_that_a_borrower_has_closed_are_opened_anew(provider: Provider) -> None:
    """For those who come after; a session gives its connector away."""
    async with HTTPClientManager(settings("aiohttp", provider)) as clients:
        async with clients.client("openai") as client:
            await client.connector.close()
        async with clients.client("openai") as client:
            assert await get(client, "plain") == 200
        assert clients.statistics("openai").opened == 2


async def test_what_a_borrower_sets_is_not_sent_for_another(name: str, provider: Provider) -> None:
    """Not its headers, cookies, parameters, credentials; not meanwhile, and not afterwards."""
    async with HTTPClientManager(settings(name, provider)) as clients, clients.client("openai") as meanwhile:
        async with clients.client("openai") as client:
            client.headers["x-whose"] = "alice"
            if name == "aiohttp":
                client.cookie_jar.update_cookies({"whose": "alice"})
            else:
                client.cookies.set("whose", "alice")
                client.params = {"whose": "alice"}
                client.auth = ("alice", "password")
            await get(client, "plain")
            assert provider.headers["x-whose"] == "alice"
            await get(meanwhile, "plain")
            assert "alice" not in str(provider.headers) + str(provider.queries[-1])
        async with clients.client("openai") as afterwards:
            await get(afterwards, "plain")

    assert "x-whose" not in provider.headers
    assert "authorization" not in provider.headers
    assert provider.cookies[1:] == [None, None]
    assert provider.queries[1:] == ["", ""]


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
async def test_a_borrowers_hooks_see_its_own_requests(name: str, provider: Provider) -> None:
    """And do not keep them from being counted."""
    seen: list[str] = []
    provider.more.set()

    async def note(request: Any) -> None:
        seen.append(request.url.path)

    async with HTTPClientManager(settings(name, provider)) as clients:
        async with clients.client("openai") as client, clients.client("openai") as other:
            client.event_hooks = {"request": [note]}
            await get(client, "plain")
            await get(other, "parts")
        counted = clients.statistics("openai")

    assert seen == ["/plain"]
    assert (counted.requests, counted.connections) == (2, 1)


@pytest.mark.parametrize("mode", ["off", "enforce"])
async def test_a_borrowers_cookies_live_for_its_block(name: str, provider: Provider, mode: str) -> None:
    """Those of a redirect, too, as every login sets them; the next borrower has none."""
    provider.url = provider.url.replace("127.0.0.1", "localhost")  # aiohttp takes no cookies from an address
    provider.answers = [(302, {"set-cookie": "user=a", "location": "plain"})]

    async with HTTPClientManager(settings(name, provider), mode=mode) as clients:
        async with clients.client("openai") as client:
            if name != "aiohttp":
                client.follow_redirects = True
            assert await get(client, "plain") == 200
            await get(client, "plain")
        async with clients.client("openai") as client:
            await get(client, "plain")

    assert provider.cookies == [None, "user=a", "user=a", None]


async def test_more_requests_than_connections_wait_in_order(name: str, provider: Provider) -> None:
    """As many as there may be connections are under way."""
    clients = HTTPClientManager(settings(name, provider, max_connections=2))
    async with clients, clients.client("openai") as client:
        tasks = [asyncio.create_task(get(client, "wait")) for _ in range(6)]
        while provider.open < 2:
            await asyncio.sleep(0.001)
        counted = clients.statistics("openai")
        assert (counted.running, counted.queued, counted.max_connections) == (2, 4, 2)
        provider.more.set()
        assert await asyncio.gather(*tasks) == [200] * 6

    assert provider.peak == 2
    assert len(provider.peers) == 2


async def test_a_request_waits_no_longer_than_its_time_for_a_connection(name: str, provider: Provider) -> None:
    """The error is the client's own, and says who was full."""
    clients = HTTPClientManager(settings(name, provider, max_connections=1, acquire_timeout=0.05))
    async with clients, clients.client("openai") as client:
        first = asyncio.create_task(get(client, "wait"))
        await provider.arrived.wait()
        with pytest.raises(AcquireTimeoutError, match="limiter 'openai-connections'") as caught:
            await get(client, "wait")
        provider.more.set()
        await first

    assert isinstance(caught.value, TimeoutError) or "Timeout" in type(caught.value).__mro__[2].__name__
    assert any(base.__module__.partition(".")[0] == name for base in type(caught.value).__mro__)


async def test_a_client_goes_through_its_policy(name: str, provider: Provider) -> None:
    """In every mode of the client; the policy has modes of its own."""
    for mode in Mode:
        before = policy("openai").statistics().succeeded
        clients = HTTPClientManager(settings(name, provider, policy="openai"), mode=mode)
        async with clients, clients.client("openai") as client:
            assert await get(client, "plain") == 200
        assert policy("openai").statistics().succeeded == before + 1


async def test_a_client_sends_its_headers(name: str, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the environment, too."""
    monkeypatch.setenv("SECRET", "from the environment")
    options: dict[str, Any] = {"headers": {"x-a": "1"}, "header_variables": {"x-b": "SECRET"}}

    async with HTTPClientManager(settings(name, provider, **options)) as clients, clients.client("openai") as client:
        await get(client, "plain")

    assert (provider.headers["x-a"], provider.headers["x-b"]) == ("1", "from the environment")


@pytest.mark.parametrize("mode", ["off", "enforce"])
async def test_a_connection_that_is_refused_is_tried_again(
    name: str, unused_tcp_port: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as the settings say; then the error is the client's own."""
    loop, tried = asyncio.get_running_loop(), []
    connect = loop.sock_connect

    async def counted(sock: Any, address: Any) -> None:
        tried.append(address)
        await connect(sock, address)

    try:
        monkeypatch.setattr(loop, "sock_connect", counted)
    except AttributeError:
        pytest.skip("this event loop cannot be watched")
    wanted = {"openai": ClientSettings(module=name, base_url=f"http://127.0.0.1:{unused_tcp_port}/", connect_retries=1)}

    async with HTTPClientManager(wanted, mode=mode) as clients, clients.client("openai") as client:
        with pytest.raises(Exception, match=r"(?i)connect") as caught:
            await get(client, "plain")

    assert type(caught.value).__module__.partition(".")[0] == name
    assert len(tried) == 2


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
async def test_a_request_is_as_it_was_when_it_has_been_sent(name: str, provider: Provider) -> None:
    """So that it can be sent again, as authentication does, with the timeouts it had."""
    async with HTTPClientManager(settings(name, provider)) as clients, clients.client("openai") as client:
        request = client.build_request("GET", "plain")
        await client.send(request)

    assert request.extensions["timeout"]["pool"] == 5.0


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
async def test_a_request_may_be_under_way_more_than_once(name: str, provider: Provider) -> None:
    """Each time it waits for a connection as long as it may."""
    clients = HTTPClientManager(settings(name, provider, max_connections=1))
    async with clients, clients.client("openai") as client:
        request = client.build_request("POST", "wait", content=b"body")
        sent = [asyncio.create_task(client.send(request)) for _ in range(4)]
        await provider.arrived.wait()
        provider.more.set()
        assert [response.status_code for response in await asyncio.gather(*sent)] == [200] * 4
        assert all(task.result().request is request for task in sent)

    assert provider.bodies == [b"body"] * 4


async def test_a_request_that_is_queued_when_its_client_is_closed_is_not_sent(name: str, provider: Provider) -> None:
    """It learns so, by an error of the client's own; no connection is left open."""
    clients = HTTPClientManager(settings(name, provider, max_connections=1), close_timeout=0.01)
    async with clients.client("openai") as client:
        first = asyncio.create_task(get(client, "wait"))
        await provider.arrived.wait()
        queued = [asyncio.create_task(get(client, "plain")) for _ in range(3)]
        while clients.statistics("openai").queued < 3:
            await asyncio.sleep(0)
        await clients.close()
        answers = await asyncio.gather(*queued, return_exceptions=True)
        with pytest.raises(RuntimeError, match="closed"):
            await get(client, "plain")
        provider.more.set()
        await asyncio.wait([first])

    kind = "ClientConnectionError" if name == "aiohttp" else "TransportError"
    told = "this client is closed and sends nothing any more: borrow it anew"
    assert [(type(each).__name__, str(each)) for each in answers] == [(kind, told)] * 3
    assert provider.seen == ["/wait"]


async def test_a_request_that_is_queued_when_its_borrower_closes_is_not_sent(provider: Provider) -> None:
    """A session of aiohttp answers with a bare AssertionError otherwise."""
    clients = HTTPClientManager(settings("aiohttp", provider, max_connections=1))
    async with clients, clients.client("openai") as other, clients.client("openai") as client:
        first = asyncio.create_task(get(other, "wait"))
        await provider.arrived.wait()
        queued = asyncio.create_task(get(client, "plain"))
        while clients.statistics("openai").queued < 1:
            await asyncio.sleep(0)
        await client.close()
        provider.more.set()
        with pytest.raises(Exception, match="this client is closed and sends nothing any more"):
            await queued
        assert await first == 200


async def test_closing_waits_for_borrowers(name: str) -> None:
    """And lends nothing meanwhile."""
    clients = HTTPClientManager(settings(name))
    async with clients.client("openai") as client:
        closing = asyncio.create_task(clients.close())
        await settled()
        assert not closed(client)
        with pytest.raises(RuntimeError, match="this HTTPClientManager is closed: borrow inside its `async with`"):
            await clients.client("openai").__aenter__()
    await closing

    assert closed(client)


async def test_closing_waits_no_longer_than_its_time(name: str) -> None:
    """It tells who was left."""
    events: list[Event] = []
    remove = add_listener(events.append)
    clients = HTTPClientManager(settings(name), close_timeout=0.01)
    try:
        async with clients.client("openai") as client:
            await clients.close()
            assert closed(client)
    finally:
        remove()

    assert [(each.name, each.resource, dict(each.details)) for each in events] == [
        ("client.closed", "openai", {"lent": 1})
    ]


def test_every_event_loop_has_connections_of_its_own(name: str) -> None:
    """And they are closed when `asyncio.run` ends, without anybody asking for it."""
    clients = HTTPClientManager(settings(name))
    seen = []

    async def main() -> None:
        async with clients.client("openai") as client:
            seen.append(connections(client))
        assert not are_closed(seen[-1])

    for _ in range(2):
        asyncio.run(main())
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()

    assert len({id(each) for each in seen}) == 3
    assert all(are_closed(each) for each in seen)
    assert (clients.statistics("openai").borrowed, clients.statistics("openai").opened) == (3, 3)


async def test_closing_closes_the_clients_of_other_loops(name: str) -> None:
    """Those that run."""
    clients = HTTPClientManager(settings(name))
    seen: list[Any] = []
    ready, end = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def elsewhere() -> None:
        async with clients.client("openai") as client:
            seen.append(connections(client))
        loops.append(asyncio.get_running_loop())
        ready.set()
        await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    await asyncio.to_thread(ready.wait)
    await clients.close()

    assert are_closed(seen[0])
    loops[0].call_soon_threadsafe(end.set)
    await asyncio.to_thread(thread.join)


async def test_a_client_of_another_loop_is_refused(name: str, provider: Provider) -> None:
    """With what to do; it would hang, or worse."""
    async with HTTPClientManager(settings(name, provider)) as clients, clients.client("openai") as client:
        with pytest.raises(
            RuntimeError, match=r"another event loop: borrow it anew in this one|attached to a different"
        ):
            await asyncio.to_thread(asyncio.run, get(client, "plain"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_child_that_is_forked_opens_its_own(name: str, provider: Provider, tmp_path: Path) -> None:
    """And neither hangs nor uses the parent's connections; one it has kept is refused."""
    program = tmp_path / "forks.py"
    program.write_text(FORKS)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", program, name, provider.url), stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()

    assert (out.decode().splitlines(), process.returncode) == (
        [
            "child: 200, its own, 1 borrowed",
            "child: refused: this client was opened before the process was forked",
            "child: closed",
            "parent: 200",
        ],
        0,
    ), err.decode()
    assert len(provider.peers) == 2


FORKS = """
import asyncio, os, sys, warnings
from penstock_pooling import ClientSettings, HTTPClientManager

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
settings = ClientSettings(module=sys.argv[1], base_url=sys.argv[2])
clients = HTTPClientManager({"openai": settings})

async def get(client):
    response = await client.get("/plain")
    await getattr(response, "aread", getattr(response, "read", None))()
    return getattr(response, "status_code", None) or response.status

async def in_child(kept):
    async with clients.client("openai") as client:
        whose = "shared" if client is kept else "its own"
        print(f"child: {await get(client)}, {whose}, {clients.statistics('openai').borrowed} borrowed", flush=True)
    try:
        await get(kept)
    except RuntimeError as error:
        print("child: refused:", str(error).partition(":")[0], flush=True)
    await clients.close()
    print("child:", "closed" if getattr(client, "closed", False) or getattr(client, "is_closed", False) else "open")

def child(kept):
    status = 1
    try:
        asyncio.run(in_child(kept))
        status = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)

async def main():
    async with clients.client("openai") as client:
        await get(client)
        pid = os.fork()
        if pid == 0:
            asyncio._set_running_loop(None)
            child(client)
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            await asyncio.sleep(0.01)
        print("parent:", await get(client), flush=True)
    await clients.close()

asyncio.run(main())
"""


async def test_a_client_is_a_resource(name: str) -> None:
    """With its statistics, and without a secret."""
    called = f"resource of {name}"
    clients = HTTPClientManager({called: ClientSettings(module=name, headers={"Authorization": "Bearer pw"})})
    (resource,) = [each for each in resources() if each.kind == "client" and each.name == called]

    assert resource.statistics() == clients.statistics(called)
    assert repr(resource).startswith(f"<HTTP client '{called}' enforce: ClientSettings(")
    assert repr(clients) == f"<HTTPClientManager enforce: {called}>"
    assert "pw" not in repr(resource) + repr(clients)


async def test_a_slot_borrows_the_client_of_its_name(name: str, provider: Provider) -> None:
    """What `ConcurrencyManager(clients=...)` takes."""
    async with HTTPClientManager(settings(name, provider)) as clients:
        manager = ConcurrencyManager(clients=clients)
        async with manager.slot("openai") as slot:
            assert await get(slot.client, "plain") == 200


async def test_an_unknown_name_is_refused(name: str) -> None:
    """With the known ones."""
    clients = HTTPClientManager(settings(name))

    with pytest.raises(ConfigurationError, match=r"no HTTP client named 'opnai'; known are: openai\. Add"):
        clients.client("opnai")
    with pytest.raises(ConfigurationError, match="no HTTP client named 'opnai'"):
        clients.statistics("opnai")


def test_what_is_no_setting_or_mode_is_refused() -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=r"clients\['a'\]: allowed is a ClientSettings"):
        HTTPClientManager({"a": {"base_url": "secret"}})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="mode = 'on' is no mode; allowed are off, observe, enforce"):
        HTTPClientManager({}, mode="on")


async def test_a_module_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra of that name."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "penstock_pooling._http.httpx2", raising=False)

    with pytest.raises(ConfigurationError, match=r"'httpx2' is not installed: install penstock-pooling\[httpx2\]"):
        await HTTPClientManager(settings("httpx2")).client("openai").__aenter__()


# --- by name


async def test_a_named_client_follows_its_capability(name: str, provider: Provider) -> None:
    """Read when it is borrowed."""
    modes = Source("off", "managed-resources")
    set_mode_source(modes)
    configure_clients(settings(name, provider))
    for mode, shared in (("off", False), ("observe", False), ("enforce", True)):
        modes.turn(mode)
        async with http("openai") as first, http("openai") as second:
            assert await get(first, "plain") == await get(second, "plain") == 200
            assert (len(provider.peers) == 1) == shared
            provider.peers.clear()
            if shared:
                used = connections(first)
    assert not are_closed(used)
    await close_clients()
    assert are_closed(used)


async def test_a_name_that_nobody_configured_is_plain_httpx_until_it_is_enforced() -> None:
    """Then it is an error that lists the known ones."""
    import httpx

    async with http("unknown") as client:
        assert type(client) is httpx.AsyncClient
    set_mode_source(Source("enforce", "managed-resources"))
    with pytest.raises(ConfigurationError, match="no HTTP client named 'unknown'; known are: none"):
        http("unknown")


async def test_settings_may_change_while_clients_are_lent(name: str) -> None:
    """Those who have one keep it."""
    set_mode_source(Source("enforce", "managed-resources"))
    configure_clients(settings(name))
    async with http("openai") as first:
        configure_clients(settings(name, max_connections=3))
        async with http("openai") as second:
            used = [connections(first), connections(second)]
            assert used[0] is not used[1]
            assert not closed(first)
    await close_clients()
    assert [are_closed(each) for each in used] == [True, True]
    async with http("openai") as third:
        assert not closed(third)
    await close_clients()


def test_connections_outlive_their_manager(name: str) -> None:
    """They are closed when their loop ends; collected open, they would warn, which is an error here."""
    seen = []

    async def main() -> None:
        async with HTTPClientManager(settings(name)).client("openai") as client:
            seen.append(connections(client))
        gc.collect()
        assert not are_closed(seen[0])

    asyncio.run(main())

    assert are_closed(seen[0])


def test_the_limiter_of_connections_is_a_resource_too() -> None:
    """So that monitoring sees who waits."""

    async def main() -> list[str]:
        async with HTTPClientManager(settings("httpx")) as clients, clients.client("openai"):
            return [each.name for each in resources() if isinstance(each, Limiter)]

    assert "openai-connections" in asyncio.run(main())
    assert penstock_pooling.http is http


async def test_a_response_that_is_left_open_is_closed_with_its_client(name: str, provider: Provider) -> None:
    """As the connections of a client of one's own are; somebody may have the response in a list still."""
    manager, kept = HTTPClientManager(settings(name, provider, max_connections=1)), []
    async with manager:
        for _ in range(3):
            async with manager.client("openai") as client:
                if name == "aiohttp":
                    kept.append(await client.get("parts"))
                else:
                    kept.append(await client.send(client.build_request("GET", "parts"), stream=True))

            await reached(lambda: manager.statistics("openai").running == 0)


async def test_an_unknown_name_is_counted_in_observe(provider: Provider) -> None:
    """All of them together, under the name `default`."""
    set_mode_source(Source("observe", "managed-resources"))
    before = {each for each in resources() if each.kind == "client"}
    for unknown in ("unknown", "another"):
        async with http(unknown) as client:
            await client.get(f"{provider.url}/quick")

    (counted,) = {each for each in resources() if each.kind == "client"} - before
    told = counted.statistics()
    assert (counted.name, told.mode, told.borrowed, told.requests) == ("default", Mode.OBSERVE, 2, 2)
    await close_clients()
