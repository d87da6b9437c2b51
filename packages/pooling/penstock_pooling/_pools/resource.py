"""What every pool of database connections is to others: a resource with a name, a kind and a mode."""

from __future__ import annotations

from penstock_limits import Mode, mode_of

from penstock_pooling._pools.capability import CAPABILITY

__all__ = ["PoolResource"]


class PoolResource:
    """A resource of the kind `pool`."""

    _name: str
    _fixed_mode: Mode | None = None

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "pool"

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `pooled-database`."""
        return self._fixed_mode or mode_of(CAPABILITY)
