"""`plan`: everything a codemod would change in a project, and what it leaves, and why."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock_migrations._auditing.audit import Report, audit
from penstock_migrations._auditing.files import discover
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._auditing.source import digest
from penstock_migrations._rewriting.declaration import declare, python_note
from penstock_migrations._rewriting.entry_point import MODE_SOURCE, add_mode_source, entry_point, sets_mode_source
from penstock_migrations._rewriting.imports import first_party_names
from penstock_migrations._rewriting.project import project_root
from penstock_migrations._rewriting.rewrite import rewrite
from penstock_migrations._rewriting.runtimes import LIMITS, runtimes
from penstock_migrations._rewriting.source_text import RewriteError
from penstock_migrations._rewriting.write import Edit, WriteError, check_writable
from penstock_migrations.rule import Finding, Fix

__all__ = ["Left", "Plan", "plan"]

_FLAGS = "penstock-flags"
_PROJECT = "the project"


@dataclass(frozen=True, slots=True)
class Left:
    """Something that the codemod leaves to people.

    Attributes:
        path: Where.
        reason: Why, and what to do.
        finding: The finding; None if it is about the project.
    """

    path: str
    reason: str
    finding: Finding | None = None


@dataclass(slots=True)
class Plan:
    """What a codemod would do.

    Attributes:
        report: The audit before.
        edits: The changes, one for each file.
        mended: The findings that they mend.
        left: What they leave, and why.
        notes: What people should know about them.
        files: The files that the settings do not exclude, by the path that findings give.
    """

    report: Report
    edits: list[Edit] = field(default_factory=list)
    mended: list[Finding] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def remaining(self) -> list[Finding]:
        """The findings that it leaves."""
        return [each.finding for each in self.left if each.finding is not None]

    def edit(self, path: str, file: Path, before: bytes, after: bytes, purpose: str) -> None:
        """Add a change, or add to the change of the same file."""
        for index, each in enumerate(self.edits):
            if each.file == file:
                self.edits[index] = Edit(each.path, file, each.before, after, f"{each.purpose}, {purpose}")
                return
        self.edits.append(Edit(path, file, before, after, purpose))
        if file.stat().st_nlink > 1:
            self.notes.append(f"{path}: has another name (a hard link), which keeps the old content")

    def current(self, file: Path) -> bytes:
        """Return a file's bytes with the changes so far."""
        return next((each.after for each in self.edits if each.file == file), None) or file.read_bytes()


def plan(
    paths: Sequence[Path],
    settings: Settings,
    *,
    review: bool = False,
    root: Path | None = None,
) -> Plan:
    """Audit, and plan the rewrite of what is found.

    Args:
        paths: Files and folders.
        settings: What to look for.
        review: Whether to rewrite what needs review, too.
        root: The project's root; None to look for that of each path.
    """
    files = {audited.shown: audited.file for audited in discover(paths, settings.exclude)}
    planned = Plan(audit(paths, settings), files=files)
    by_path: dict[str, list[Finding]] = defaultdict(list)
    for finding in planned.report.findings:
        by_path[finding.path].append(finding)
    for path, findings in by_path.items():
        _plan_file(planned, path, files.get(path), findings, settings, review=review)
    for each in sorted({root or project_root(path) for path in paths}):
        _plan_project(planned, each, settings)
    return planned


def _plan_file(
    planned: Plan, path: str, file: Path | None, findings: Sequence[Finding], settings: Settings, *, review: bool
) -> None:
    """Plan one file's rewrite; whatever is wrong with it is said once, and the other files go on."""
    wanted: list[Finding] = []
    try:
        if file is None:
            raise WriteError("is gone since the audit")
        target = Path(os.path.realpath(file))
        source = target.read_bytes()
        findings = _still_true(path, target, source, findings, settings)
        wanted += [each for each in findings if each.fix is Fix.SAFE or (review and each.fix is Fix.REVIEW)]
        planned.left += [Left(path, _why_left(each), each) for each in findings if each not in wanted]
        if not wanted:
            return
        check_writable(target)
        result = rewrite(source, wanted, first_party_names(target))
    except (RewriteError, OSError) as error:
        planned.left += [Left(path, _reason(error), finding) for finding in wanted or findings]
        return
    planned.left += [Left(path, each.reason, each.finding) for each in result.refused]
    if result.applied:
        planned.mended += result.applied
        codes = ", ".join(sorted({each.code for each in result.applied}))
        planned.edit(path, target, source, result.source, codes)


def _still_true(
    path: str, file: Path, source: bytes, findings: Sequence[Finding], settings: Settings
) -> Sequence[Finding]:
    """Audit a file again that has changed since it was audited."""
    if all(each.sha256 == digest(source) for each in findings):
        return findings
    again = [dataclasses.replace(each, path=path) for each in audit([file], settings).findings]
    if any(each.sha256 != digest(source) for each in again):
        raise RewriteError("keeps changing while it is audited; run again")
    return again


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, WriteError):
        return f"cannot be read: {error.strerror}"
    return str(error)


def _why_left(finding: Finding) -> str:
    reason = finding.fix_reason or "the rule offers no rewrite"
    return f"needs review: {reason} (--review rewrites it)" if finding.fix is Fix.REVIEW else reason


def _plan_project(planned: Plan, root: Path, settings: Settings) -> None:
    """Plan the mode source and the declaration, once something in the project calls the runtime."""
    files = [each.file for each in discover([root], settings.exclude) if each.error is None]
    called = runtimes(_current(planned, file) for file in files)
    if not called:
        return
    needed = [LIMITS, *(each for each in called if each != LIMITS)]
    if sets_mode_source(root, files) is not None or _plan_mode_source(planned, root, files):
        needed.insert(0, _FLAGS)
    note = python_note(root)
    planned.notes += [note] if note else []
    try:
        declaration = declare(root, needed)
        if declaration.after != declaration.before:
            check_writable(declaration.file)
            shown = _shown(declaration.file, root)
            planned.edit(shown, declaration.file, declaration.before, declaration.after, "dependencies")
    except (RewriteError, OSError) as error:
        planned.left.append(Left(_PROJECT, f"{_reason(error)}: add {_listed(needed)} by hand"))


def _plan_mode_source(planned: Plan, root: Path, files: Sequence[Path]) -> bool:
    try:
        place = entry_point(root, files)
        target = Path(os.path.realpath(place.file))
        check_writable(target)
        before = planned.current(target)
        after = add_mode_source(before, place.function, first_party_names(target))
    except (RewriteError, OSError) as error:
        advice = (
            "the mode source is set nowhere, so no flag reaches the program: "
            f"add {MODE_SOURCE} where it starts, and {_FLAGS} to the dependencies"
        )
        planned.left.append(Left(_PROJECT, f"{_reason(error)}; {advice}"))
        return False
    planned.edit(_shown(place.file, root), target, before, after, "mode source")
    return True


def _current(planned: Plan, file: Path) -> bytes:
    try:
        return planned.current(Path(os.path.realpath(file)))
    except OSError:
        return b""


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _shown(file: Path, root: Path) -> str:
    """Return the path relative to the working directory if beneath it, else to the project, as findings do."""
    base = Path.cwd() if root.is_relative_to(Path.cwd()) else root
    return Path(os.path.relpath(file, base)).as_posix()
