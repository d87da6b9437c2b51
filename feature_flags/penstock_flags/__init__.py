"""The mode of each capability, from an environment's file or from LaunchDarkly, switched while programs run.

LaunchDarkly's SDK is imported when flags are opened, not before.
"""

from penstock_flags._declaration import Mode
from penstock_flags._errors import (
    FlagsError,
    FlagsLockedError,
    FlagsNotFoundError,
    InvalidFlagsError,
    Problem,
    UnknownEnvironmentError,
    UnknownFlagError,
)
from penstock_flags._flags import Flags, Snapshot
from penstock_flags._open import open  # noqa: A004 - see there

__all__ = [
    "Flags",
    "FlagsError",
    "FlagsLockedError",
    "FlagsNotFoundError",
    "InvalidFlagsError",
    "Mode",
    "Problem",
    "Snapshot",
    "UnknownEnvironmentError",
    "UnknownFlagError",
    "open",
]
