"""How often this process was forked, and what becomes of connections in a child: they are its parent's.

To ask for the number of the process at every turn would cost more than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_limits.forks import after_fork

__all__ = ["OfParent", "forks"]

_KNOWN = (  # what a connection may still tell of itself
    "backend_pid",
    "backend_secret",
    "get_record_class",
    "get_server_pid",
    "get_settings",
    "is_connected",
    "is_in_transaction",
)


class Forks:
    """Counts, from the first `watch()` on.

    Attributes:
        count: How many forks lie between this process and the first that watched.
    """

    def __init__(self) -> None:
        self.count = 0

    def watch(self) -> int:
        """Count from now on; return the count."""
        after_fork(self._forked)
        return self.count

    def _forked(self) -> None:
        self.count += 1


class OfParent:
    """Stands in a child for the protocol of a connection of its parent's: nothing is sent, and nothing cut off.

    Child and parent share the socket, and what watches it; whatever the child does to it happens to the parent.

    Args:
        protocol: The protocol.
        make_error: Makes what is raised if the connection is used.
    """

    def __init__(self, protocol: Any, make_error: Callable[[], Exception]) -> None:
        self._protocol = protocol
        self._make_error = make_error

    def abort(self) -> None:
        """Leave it to the parent."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _KNOWN:
            return getattr(self._protocol, name)
        raise self._make_error()


forks = Forks()
