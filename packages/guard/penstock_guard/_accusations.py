"""What a test is accused of: the one data type that flows from the checks to the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_limits.introspection import CallSite

__all__ = ["Accusation", "accuse"]


@dataclass(frozen=True, slots=True)
class Accusation:
    """Something that a test has left behind, or has done.

    Attributes:
        check: The check that saw it: `thread`.
        code: The rule that explains it: `PEN301`; see `penstock explain PEN301`.
        remedy: What to do, in one sentence.
        message: What was seen.
        path: The file of the line that made it; None if no line is known.
        line: The line, from 1.
        function: The qualified name of the function.
        stack: Where the code stood, outermost first, if that says more than the line.
    """

    check: str
    code: str
    remedy: str
    message: str
    path: str | None = None
    line: int | None = None
    function: str | None = None
    stack: tuple[str, ...] = field(default=(), repr=False)


def accuse(
    check: str, remedy: tuple[str, str], message: str, site: CallSite | None, stack: tuple[str, ...] = ()
) -> Accusation:
    """Return an accusation; a remedy is the code of a rule and a sentence."""
    code, advice = remedy
    if site is None:
        return Accusation(check, code, advice, message, stack=stack)
    return Accusation(check, code, advice, message, site.path, site.line, site.function, stack)
