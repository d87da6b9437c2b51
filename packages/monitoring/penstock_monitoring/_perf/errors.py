"""What can go wrong with runs and baselines."""

from __future__ import annotations

from penstock_limits import PenstockError

__all__ = ["BaselineError", "PerfError", "RunError"]


class PerfError(PenstockError):
    """Something cannot be measured; the message says what, and what to do."""


class BaselineError(PerfError):
    """A file is no baseline; the message says why, and what to do."""


class RunError(PerfError):
    """A command that was to be measured failed."""
