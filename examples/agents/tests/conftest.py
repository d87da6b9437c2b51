from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import provider
from agents.settings import Settings
from tests.provider_stub import ProviderStub


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderStub]:
    with ProviderStub() as running:
        monkeypatch.setenv("PROVIDER_URL", running.url + "/v1")
        monkeypatch.setenv("PROVIDER_BACKOFF", "0.01")
        yield running


@pytest.fixture(autouse=True)
def closed_breaker() -> Iterator[None]:
    yield
    provider.breaker.enabled = True
    provider.breaker.reset()


@pytest.fixture
def settings(stub: ProviderStub) -> Settings:
    return Settings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(24):
        (tmp_path / f"{number:02}.md").write_text(f"Document {number}.\n\nIt says {number}.", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path
