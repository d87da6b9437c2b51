"""The commands that this package offers to `penstock`, by the entry-point group `penstock.commands`."""

from penstock_monitoring._perf.command_line import perf

__all__ = ["perf"]
