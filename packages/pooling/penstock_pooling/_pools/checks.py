"""Whether a parameter of a pool is what it should be."""

from __future__ import annotations

import math

from penstock_limits import ConfigurationError, Mode

__all__ = ["mode_or_none", "seconds_or_none", "sizes", "whole_or_none"]


def mode_or_none(where: str, mode: Mode | str | None) -> Mode | None:
    """Return a mode.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return None if mode is None else Mode(mode)
    except ValueError:
        raise ConfigurationError(f"{where}: mode = {mode!r}; allowed are off, observe, enforce") from None


def seconds_or_none(where: str, key: str, value: float | None) -> float | None:
    """Return a number of seconds.

    Raises:
        ConfigurationError: It is not above 0.
    """
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf):
        return value
    raise ConfigurationError(f"{where}: {key} = {value!r}; allowed are seconds above 0, or None")


def whole_or_none(where: str, key: str, value: int | None) -> int | None:
    """Return a whole number.

    Raises:
        ConfigurationError: It is none from 0.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ConfigurationError(f"{where}: {key} = {value!r}; allowed is a whole number from 0, or None")


def sizes(where: str, min_size: int, max_size: int) -> tuple[int, int]:
    """Return the least and the most connections of a pool.

    Raises:
        ConfigurationError: They are no whole numbers, or not in this order.
    """
    for key, value, least in (("min_size", min_size, 0), ("max_size", max_size, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigurationError(f"{where}: {key} = {value!r}; allowed is a whole number from {least}")
    if min_size > max_size:
        raise ConfigurationError(f"{where}: min_size = {min_size!r}; allowed is at most max_size ({max_size})")
    return min_size, max_size
