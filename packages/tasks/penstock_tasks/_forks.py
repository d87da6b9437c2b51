"""What a forked child begins anew."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

__all__ = ["after_fork"]


@functools.cache
def after_fork(renew: Callable[[], None]) -> None:
    """Have something called in every child that is forked from now on: once, however often this is asked for."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
