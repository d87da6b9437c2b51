"""Every test starts from mode off, and says which one it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from penstock_tasks._threads import blocking


@pytest.fixture(autouse=True)
def calls(defaults: None) -> Iterator[None]:
    """Every test has an executor of its own for calls from event loops."""
    blocking._calls.forget()
    yield
    if blocking._calls._executor is not None:
        blocking._calls._executor.shutdown()
    blocking._calls.forget()


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "observe")


@pytest.fixture
def enforce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "enforce")


@pytest.fixture(params=["off", "observe", "enforce"])
def any_mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", request.param)
    return str(request.param)
