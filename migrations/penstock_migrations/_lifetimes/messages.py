"""Says what is wrong with a resource that is not closed, and what to do."""

from __future__ import annotations

from penstock_migrations._lifetimes.fates import End
from penstock_migrations._lifetimes.lifetimes import Leak

__all__ = ["describe", "reason"]

_WRONG = {
    End.USED: "is made, used once and never closed",
    End.LOST: "is held by {holder} and never closed",
    End.LATE: "is not closed if something fails before {closer}()",
    End.LEFT: "is left in .{holder}, which this module never closes",
    End.OWNED: "is held by self.{holder}, which nothing closes",
    End.ENTERED: "stays open after the with statement, which ends the transaction",
    End.IGNORED: "is made where {holder} is given and ignores it: the condition is the wrong way round",
}
_REASONS = {
    End.USED: "Where it is to be closed depends on how long its result is in use.",
    End.LOST: "The block of the `with` is for a person to choose.",
    End.LATE: "The block of the `with` or `try` is for a person to choose.",
    End.LEFT: "Who closes it is for a person to choose.",
    End.ENTERED: "Wrapped in contextlib.closing, the transaction needs a with statement of its own.",
    End.IGNORED: "What was meant is for a person to say.",
    End.OWNED: "The class needs a method that closes it, and somebody who calls that.",
}


def describe(leak: Leak) -> str:
    """Say in a few words what is wrong."""
    wrong = _WRONG[leak.fate.end].format(holder=leak.fate.holder, closer=leak.resource.closer)
    return f"{leak.name} {wrong}"


def reason(leak: Leak) -> str:
    """Say why it is not rewritten."""
    return _REASONS[leak.fate.end]
