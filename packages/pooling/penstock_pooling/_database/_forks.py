"""How often this process was forked: asking for its number at every turn would cost more than all the rest."""

from __future__ import annotations

import os

__all__ = ["forks"]


class Forks:
    """Counts, from the first `watch()` on.

    Attributes:
        count: How many forks lie between this process and the first that watched.
    """

    __slots__ = ("_watches", "count")

    def __init__(self) -> None:
        self.count = 0
        self._watches = False

    def watch(self) -> int:
        """Count from now on; return the count."""
        if not self._watches and hasattr(os, "register_at_fork"):
            self._watches = True
            os.register_at_fork(after_in_child=self._forked)
        return self.count

    def _forked(self) -> None:
        self.count += 1


forks = Forks()
