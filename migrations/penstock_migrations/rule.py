"""All that a rule needs: what it finds (`Finding`), how that is mended (`Rewrite`), and its examples.

A rule is one file in the folder of its phase. The file's name is the rule's name, its docstring the documentation,
and its `RULE` the rest. A rule finds and mends in one statement: the finding carries its rewrites as data, so
detecting needs only the standard library's `ast`, and the codemod alone needs libcst.
"""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from penstock_migrations._code.module import Module
    from penstock_migrations._code.project import Project

__all__ = [
    "Defect",
    "Example",
    "Finding",
    "Fix",
    "Options",
    "ReplaceCall",
    "Rewrite",
    "Rule",
    "Severity",
    "Site",
    "UnwrapCall",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a project tells its rules.

    Attributes:
        limit: Name of the limit that the codemod writes.
        managed_classes: Qualified names of classes whose objects must be closed, besides those that are known:
            `vendor.Client`.
        blocking_calls: Qualified names of functions, methods and modules that do blocking HTTP, besides those that are
            known: `vendor.fetch`.
    """

    limit: str = "api_call"
    managed_classes: tuple[str, ...] = ()
    blocking_calls: tuple[str, ...] = ()


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
        callee: What to call instead, qualified: `penstock_limits.gather`.
        keywords: Keyword arguments to append, as (name, source text).
        module: The module to import, once; by default all of the callee but its last word.
        called: What is called there now, as `ast.unparse` writes it, where several calls may start at one place:
            `threading.Thread` in `threading.Thread(...).start()`.
    """

    line: int
    column: int
    callee: str
    keywords: tuple[tuple[str, str], ...] = ()
    module: str = ""
    called: str = ""

    @property
    def imported(self) -> str:
        """The module that the callee needs: `penstock_limits`."""
        return self.module or self.callee.rpartition(".")[0]


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
        fix_reason: Why it is not rewritten, what to look at in review, or what to know of a safe rewrite.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What a detector yields: a finding before the audit gives it a place and an identity.

    Attributes:
        node: The offending call, or the expression or statement that is to blame where it is no call.
        severity: How much it matters.
        message: What is wrong and what to do, in one line.
        fix: How much review the rewrite needs.
        fix_reason: Why it is not rewritten, what to look at in review, or what to know of a safe rewrite.
        rewrites: What the codemod does about it.
        callees: What the rule's `settle` asks about: references of functions, names.
    """

    node: ast.expr | ast.stmt
    severity: Severity
    message: str
    fix: Fix = Fix.NONE
    fix_reason: str | None = None
    rewrites: tuple[Rewrite, ...] = ()
    callees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A defect at its place in a file, before the other files were asked.

    Attributes:
        code: The rule's code.
        line: Line of the offending call, from 1.
        end_line: Its last line.
        column: Its column, in characters from 1.
        first_line: Line on which its statement begins.
        function: Qualified name of the function around it, None at module level.
        severity: How much it matters.
        message: What is wrong and what to do, in one line.
        fix: How much review the rewrite needs.
        fix_reason: Why it is not rewritten, what to look at in review, or what to know of a safe rewrite.
        text: The call's own text, by which it is known again when lines move.
        rewrites: What the codemod does about it.
        callees: What the rule's `settle` asks about: references of functions, names.
    """

    code: str
    line: int
    end_line: int
    column: int
    first_line: int
    function: str | None
    severity: Severity
    message: str
    text: str
    fix: Fix = Fix.NONE
    fix_reason: str | None = None
    rewrites: tuple[Rewrite, ...] = ()
    callees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A piece of code that a rule is shown in its documentation and held to by its tests.

    Attributes:
        title: What the code shows, in a few words.
        source: The code.
        rewritten: What the codemod makes of it; None where it rewrites nothing.
    """

    title: str
    source: str
    rewritten: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A defect class: what it is, how it is found and mended, and examples of both sides.

    Attributes:
        module: The rule's module, `__name__`: its last part names the rule, its folder the phase.
        documentation: The module's docstring.
        code: `PEN`, the digit of the RFC's issue, and two digits.
        triggers: Bytes of which a file holds at least one, or the rule has nothing to find in it.
        detect: Yields the defects of a parsed file.
        bad: Code that the rule finds.
        good: Code that the rule leaves alone.
        settle: Asks the other files about a site that `detect` found: returns it, another in its place, or None.
        survey: Yields the sites, with their files, that no file shows alone.
    """

    module: str
    documentation: str
    code: str
    triggers: tuple[bytes, ...]
    detect: Callable[[Module, Options], Iterable[Defect]]
    bad: tuple[Example, ...]
    good: tuple[Example, ...]
    settle: Callable[[Project, Path, Site], Site | None] | None = None
    survey: Callable[[Project, Options], Iterable[tuple[Path, Site]]] | None = None

    @property
    def name(self) -> str:
        """The rule's name, `unbounded-gather`."""
        return self.module.rpartition(".")[2].replace("_", "-")

    @property
    def issue(self) -> int:
        """The RFC's critical issue, 1 to 8."""
        return int(self.code[3])

    @property
    def phase(self) -> int:
        """The phase that mends it, 1 to 4."""
        found = re.search(r"\.phase(\d)_", self.module)
        if found is None:
            raise ValueError(f"{self.module}: a rule lives in the folder of its phase, phase1_... to phase4_...")
        return int(found[1])
