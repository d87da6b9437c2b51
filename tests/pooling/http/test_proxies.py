"""Which requests go through a proxy of the environment: those that do with a client of httpx."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_pooling import ClientSettings, HTTPClientManager

from tests.pooling.http.stub import Provider

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
URLS = [
    "http://internal/",
    "http://internal:8080/",
    "https://internal/",
    "http://www.internal/",
    "http://sinternal/",
    "http://INTERNAL/",
    "http://localhost/",
    "http://sub.localhost/",
    "http://127.0.0.1:99/",
    "http://[::1]/",
    "http://bücher.example/",
]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": "http://proxy:1", "NO_PROXY": straight}
        for straight in (
            "",
            "*",
            "internal",
            ".internal",
            "internal:8080",
            "http://internal",
            "all://internal",
            "localhost, 127.0.0.1",
            "127.0.0.1/8",
            "::1",
            "a,*",
        )
    ]
    + [{"ALL_PROXY": "proxy:1"}, {"HTTPS_PROXY": "proxy:1"}, {"HTTP_PROXY": "http://proxy:1", "http_proxy": ""}, {}],
    ids=str,
)
async def test_requests_go_through_the_proxies_that_the_client_itself_would_use(
    module: Any, mode: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a policy or retries under it, and shared, as without."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = {"a": ClientSettings(module=module.__name__, connect_retries=1)}

    clients = HTTPClientManager(settings, mode=mode)
    async with module.AsyncClient() as stock, clients, clients.client("a") as client:
        for url in map(module.URL, URLS):
            expected = stock._transport_for_url(url) is not stock._transport
            assert (client._transport_for_url(url) is not client._transport) == expected, url


async def test_what_httpx_cannot_read_is_read_as_httpx2_does(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain's subdomains alone; what is no URL is ignored."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", "*.internal,bücher.example,[::1]")
    clients = HTTPClientManager({"a": ClientSettings(module=module.__name__)})

    async with clients, clients.client("a") as client:
        straight = [url for url in URLS if client._transport_for_url(module.URL(url)) is client._transport]

    assert straight == ["https://internal/", "http://www.internal/", "http://[::1]/"]


async def test_a_request_through_a_proxy_is_sent_by_it(
    module: Any, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that goes straight is not."""
    monkeypatch.setenv("HTTP_PROXY", provider.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings = {"a": ClientSettings(module=module.__name__)}

    async with HTTPClientManager(settings) as clients:
        async with clients.client("a") as client:
            proxied = await client.get("http://nowhere.invalid/plain")
            straight = await client.get(f"{provider.url}/plain")
        counted = clients.statistics("a")

    assert (proxied.status_code, straight.status_code) == (404, 200)  # it is no proxy, but was asked
    assert (counted.requests, counted.connections) == (2, 2)
