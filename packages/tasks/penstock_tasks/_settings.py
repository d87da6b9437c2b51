"""The capability of all that is here, and whether what people give is what it should be."""

from __future__ import annotations

import math
from typing import Final

from penstock_limits import ConfigurationError, Mode

__all__ = ["CAPABILITY", "mode_given", "seconds_given"]

CAPABILITY: Final = "managed-threads"


def seconds_given(where: str, key: str, value: float, *, above: bool = False) -> float:
    """Return a number of seconds.

    Raises:
        ConfigurationError: It is none: negative, not finite, or 0 if it must be above that.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and 0 <= value < math.inf and (value or not above):
        return value
    raise ConfigurationError(f"{where}: {key} = {value!r}; allowed are seconds {'above' if above else 'from'} 0")


def mode_given(where: str, value: Mode | str | None) -> Mode | None:
    """Return a mode, None if it is left to the capability.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return None if value is None else Mode(value)
    except ValueError:
        allowed = f"off, observe, enforce, or None to follow {CAPABILITY}"
        raise ConfigurationError(f"{where}: mode = {value!r}; allowed are {allowed}") from None
