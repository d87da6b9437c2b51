"""All that a rule needs: what it finds (`Finding`), how that is mended (`Rewrite`), and its examples.

A rule finds and mends in one statement: the finding carries its rewrites as data, so detecting needs only
the standard library's `ast`, and the codemod alone needs libcst.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Finding", "Fix", "ReplaceCall", "Rewrite", "Severity", "UnwrapCall"]


class Severity(enum.StrEnum):
    """How much a finding matters; `LOW` is advice."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Fix(enum.StrEnum):
    """How much review the rewrite of a finding needs; `NONE` means that it is only reported."""

    SAFE = "safe"
    REVIEW = "review"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ReplaceCall:
    """Call something else, with the same arguments and some keywords more.

    Attributes:
        line: Line of the call, from 1.
        column: Column of the call, in characters from 0.
        callee: What to call instead, qualified: `penstock_limits.gather`. Its module is imported once.
        keywords: Keyword arguments to append, as (name, source text).
    """

    line: int
    column: int
    callee: str
    keywords: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class UnwrapCall:
    """Replace a call by its first argument: `asyncio.create_task(f(x))` becomes `f(x)`.

    Attributes:
        line: Line of the call, from 1.
        column: Column of the call, in characters from 0.
    """

    line: int
    column: int


Rewrite = ReplaceCall | UnwrapCall


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect at one place: the one type that flows through audit, codemod, verify and gate.

    Attributes:
        code: The rule's code, `PEN101`.
        name: The rule's name, `unbounded-gather`.
        issue: The RFC's critical issue, 1 to 8.
        phase: The phase that mends it, 1 to 4.
        path: POSIX path, relative to the working directory where the file lies beneath it, else to the audited path.
        line: Line of the offending call, from 1.
        end_line: Its last line.
        column: Its column, in characters from 1.
        function: Qualified name of the function around it, None at module level.
        severity: How much it matters.
        message: What is wrong and what to do, in one line.
        fix: How much review the rewrite needs.
        fix_reason: Why it is not rewritten, or what to look at in review.
        fingerprint: Stays the same when lines move.
        sha256: Hash of the file's bytes when it was audited; a file changed since is audited again.
        rewrites: What the codemod does about it; empty when `fix` is `NONE`.
    """

    code: str
    name: str
    issue: int
    phase: int
    path: str
    line: int
    end_line: int
    column: int
    function: str | None
    severity: Severity
    message: str
    fix: Fix
    fix_reason: str | None
    fingerprint: str
    sha256: str
    rewrites: tuple[Rewrite, ...] = ()
