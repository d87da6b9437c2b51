"""What `resources()` shows."""

from __future__ import annotations

import gc

from penstock_limits import Limiter, Resource, resources


def test_a_limiter_enters_when_it_is_made() -> None:
    """By kind and name, with its statistics."""
    limiter = Limiter("seen", max_running=3)

    (seen,) = [resource for resource in resources() if resource.name == "seen"]

    assert seen is limiter
    assert isinstance(seen, Resource)
    assert (seen.kind, seen.statistics()) == ("limiter", limiter.statistics())


def test_a_forgotten_limiter_leaves() -> None:
    """The registry keeps nothing alive."""
    Limiter("forgotten", max_running=3)
    gc.collect()

    assert "forgotten" not in [resource.name for resource in resources()]
