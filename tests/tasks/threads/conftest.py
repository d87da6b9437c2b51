"""Every test starts from mode off, and says which one it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import penstock_limits
import pytest
from penstock_tasks._threads import blocking


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(variable)
    penstock_limits.set_mode_source(None)
    penstock_limits.configure(penstock_limits.ConcurrencyConfig())
    blocking._calls.forget()
    yield
    monkeypatch.undo()
    penstock_limits.configure(penstock_limits.ConcurrencyConfig())
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
