"""What `resources()` shows."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from penstock_limits import Limiter, Resource, _resources, resources


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_a_thread_reads_the_registry_can_read_it() -> None:
    """Its parent's thread, which holds the lock, is not there to give it back."""
    kept = Limiter("kept", max_running=1)
    with _resources._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            os._exit(0 if kept in resources() else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
