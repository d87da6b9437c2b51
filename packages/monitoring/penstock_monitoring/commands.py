"""The commands that this package offers to `penstock`, by the entry-point group `penstock.commands`."""

from penstock_monitoring._perf.command_line import perf
from penstock_monitoring._view.command import top

__all__ = ["perf", "top"]
