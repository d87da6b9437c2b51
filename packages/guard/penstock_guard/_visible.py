"""What a monitor would show of the tests."""

from __future__ import annotations

import contextlib

import penstock_limits

__all__ = ["visible"]


def visible() -> list[list[str]]:
    """Return package, kind and name of every live resource; plain data, which xdist hands on."""
    seen = []
    for each in penstock_limits.resources():
        with contextlib.suppress(Exception):  # somebody else's that fails does not hide the others
            seen.append([type(each).__module__.partition(".")[0], str(each.kind), str(each.name)])
    return seen
