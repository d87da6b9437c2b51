"""Whether a parameter is what it should be."""

from __future__ import annotations

import math
import operator

from penstock_limits._errors import ConfigurationError

__all__ = ["number", "seconds", "whole"]


def whole(where: str, key: str, value: int, *, least: int) -> int:
    """Return a whole number.

    Raises:
        ConfigurationError: It is none, or below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number >= least and not isinstance(value, bool):
        return number
    raise ConfigurationError(f"{where}: {key} = {value!r}; allowed is a whole number from {least}")


def number(where: str, key: str, value: float, *, most: float = math.inf) -> float:
    """Return a number.

    Raises:
        ConfigurationError: It is none, or not between 0 and `most`.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most and value < math.inf:
        return value
    raise ConfigurationError(
        f"{where}: {key} = {value!r}; allowed is a number from 0" + ("" if most == math.inf else f" to {most:g}")
    )


def seconds(where: str, key: str, value: float, *, above: bool = False) -> float:
    """Return a number of seconds.

    Raises:
        ConfigurationError: It is none: negative, not finite, or 0 if it must be above that.
    """
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value < math.inf
        and (value or not above)
    ):
        return value
    raise ConfigurationError(f"{where}: {key} = {value!r}; allowed are seconds {'above' if above else 'from'} 0")
