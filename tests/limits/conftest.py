"""Every test starts from the defaults: no mode source, no mode in the environment, the RFC's limits."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator

import penstock_limits
import pytest

if os.environ.get("TEST_EVENT_LOOP") == "uvloop":  # set by test_uvloop.py, for the tests of this folder
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


@pytest.fixture(autouse=True, scope="module")
def forgotten() -> None:
    """Let go of what the tests of another file have forgotten, permits of named limits among it."""
    gc.collect()


@pytest.fixture(autouse=True)
def spared() -> Iterator[None]:
    """Spare the collector what was there before: many tests ask it to look at everything, again and again."""
    gc.freeze()
    yield
    gc.unfreeze()


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
