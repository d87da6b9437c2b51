"""Never run: type checkers see here that flags fit where the runtime expects a mode source."""

from __future__ import annotations

import penstock_flags
import penstock_limits


def flags_are_a_mode_source() -> penstock_limits.ModeSource:
    """The two packages know nothing of each other; their shapes must agree."""
    flags = penstock_flags.open("production", "feature_flags")
    penstock_limits.set_mode_source(flags)
    mode: penstock_flags.Mode = flags.mode("bounded-fanout")
    penstock_limits.Mode(mode)
    return flags
