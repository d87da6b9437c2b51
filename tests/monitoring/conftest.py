"""Every test starts from the defaults: no resources, no mode source, no mode in the environment, the RFC's limits."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator

import penstock_limits
import pytest
from penstock_limits import _events, _resources
from penstock_monitoring._reading import shown


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith(("PENSTOCK_", "PROMETHEUS_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(_resources, "_entered", weakref.WeakSet())
    monkeypatch.setattr(_events, "_state", _events._State())
    shown.shown.cache_clear()
    shown._secret_values.cache_clear()
    penstock_limits.set_mode_source(None)
    penstock_limits.configure(penstock_limits.ConcurrencyConfig())
    yield
    monkeypatch.undo()
    penstock_limits.set_mode_source(None)
    penstock_limits.configure(penstock_limits.ConcurrencyConfig())
