"""Every test starts from the defaults: no mode source, no mode in the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import penstock_limits
import pytest

from tests.limits.conftest import spared

__all__ = ["defaults", "spared"]


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(variable)
    penstock_limits.set_mode_source(None)
    penstock_limits.configure(penstock_limits.ConcurrencyConfig())
    yield
    monkeypatch.undo()
    penstock_limits.set_mode_source(None)
    penstock_limits.configure(penstock_limits.ConcurrencyConfig())
