"""Every test starts from the defaults, and has a provider if it asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.limits.conftest import defaults
from tests.pooling.http.stub import Provider, serving

__all__ = ["defaults", "provider"]


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    stub = Provider()
    async with serving(stub.app()) as url:
        stub.url = url
        yield stub
        stub.more.set()


@pytest.fixture(params=["httpx", "httpx2"])
def module(request: pytest.FixtureRequest) -> object:
    """The client modules that have transports."""
    return pytest.importorskip(request.param)
