"""What a named HTTP client tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_limits import Mode

__all__ = ["ClientStatistics", "Counters"]


@dataclass(slots=True)
class Counters:
    """What is counted in one event loop, in its thread."""

    lent: int = 0
    borrowed: int = 0
    opened: int = 0
    requests: int = 0
    connections: int = 0
    replaced: int = 0

    def add(self, other: Counters) -> None:
        """Count what another has counted, but for who has a client now."""
        self.borrowed += other.borrowed
        self.opened += other.opened
        self.requests += other.requests
        self.connections += other.connections
        self.replaced += other.replaced


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """A snapshot of a named HTTP client, over all event loops.

    Attributes:
        mode: Its mode now.
        lent: Borrowers that have it now.
        borrowed: How often it was ever lent.
        opened: How many clients were opened for that; in `enforce`, what all share, once for each event loop.
        requests: Requests ever sent; a redirect that is followed is another.
        connections: Connections ever opened.
        running: Requests under way on shared clients.
        queued: Requests that wait for a connection of a shared client.
        max_connections: How many connections each client may open.
        replaced: Pools that were replaced as they had lost connections.
    """

    mode: Mode
    lent: int
    borrowed: int
    opened: int
    requests: int
    connections: int
    running: int
    queued: int
    max_connections: int
    replaced: int
