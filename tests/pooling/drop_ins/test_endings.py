"""Sessions that were closed count until the server has ended them."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from penstock_pooling._sessions.endings import Endings


def test_a_session_is_over_when_the_server_has_closed_its_end() -> None:
    """Whatever it says before."""
    ours, servers = socket.socketpair()
    endings = Endings()
    endings.enter(ours.fileno())
    ours.close()
    servers.sendall(b"goodbye")

    assert endings.count() == 1

    servers.close()

    assert endings.count() == 0


def test_nobody_waits_for_a_server_that_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second."""
    monkeypatch.setattr("penstock_pooling._sessions.endings.PATIENCE", -1.0)
    ours, servers = socket.socketpair()
    endings = Endings()
    with ours, servers:
        endings.enter(ours.fileno())

        assert endings.count() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors in /proc")
def test_what_is_closed_already_is_over() -> None:
    """There is nothing to wait for; and no descriptor is left open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    endings = Endings()
    endings.enter(-1)
    ours, servers = socket.socketpair()
    with ours, servers:
        endings.enter(ours.fileno())
        del endings

    assert len(list(Path("/proc/self/fd").iterdir())) == before
