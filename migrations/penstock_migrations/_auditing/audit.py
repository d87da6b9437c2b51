"""`audit`: paths in, findings out."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock_migrations._auditing.cache import Cache
from penstock_migrations._auditing.files import AuditedFile, discover
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._auditing.told import Told, tell
from penstock_migrations._auditing.workers import Work
from penstock_migrations.rule import Finding, Rule, Site

__all__ = ["Report", "Unreadable", "Unused", "audit"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that could not be audited.

    Attributes:
        path: Its path, as findings show theirs.
        reason: Why, in one line.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unused:
    """A comment `# penstock: ignore` that suppresses nothing.

    Attributes:
        path: Its file's path, as findings show theirs.
        line: Its line, from 1.
        codes: The codes that it names in vain; empty if it names none.
    """

    path: str
    line: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found.

    Attributes:
        files: How many files it read.
        unreadable: The files it could not audit.
        findings: The defects, ordered by place.
        elapsed_seconds: How long it took.
        unused: The comments that suppress nothing, ordered by place.
    """

    files: int
    unreadable: tuple[Unreadable, ...]
    findings: tuple[Finding, ...]
    elapsed_seconds: float
    unused: tuple[Unused, ...] = ()


def audit(
    paths: Sequence[Path],
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Find the defects in Python files.

    Args:
        paths: Files, and folders to search.
        settings: What to look for, and where.
        jobs: How many processes may examine files. With more than one, `__main__` is imported in each.
        progress: Called with the number of files done and the number of all.

    Raises:
        WorkerError: A process that examined files was ended from outside.
    """
    started = time.perf_counter()
    files = discover(paths, settings.exclude, settings.include)
    wanted = [rule for rule in rules() if settings.wants(rule.code)]
    work = Work(settings.options, tuple(rule.code for rule in wanted))
    with Cache() as cache:
        told = tell(files, wanted, work, cache, jobs, progress or _unseen)
    unreadable = tuple(Unreadable(path, reason) for path, reason in sorted(told.unreadable.items()))
    findings, unused = _judged(files, told, settings, wanted)
    return Report(len(files) - len(unreadable), unreadable, findings, time.perf_counter() - started, unused)


def _unseen(_done: int, _total: int) -> None:
    """Show nothing of the progress."""


def _judged(
    files: Sequence[AuditedFile], told: Told, settings: Settings, ran: Sequence[Rule]
) -> tuple[tuple[Finding, ...], tuple[Unused, ...]]:
    """Return the findings, and the comments that suppress nothing, each ordered by place."""
    findings: list[Finding] = []
    unused: list[Unused] = []
    for audited in files:
        used: set[tuple[int, str]] = set()
        ignored = told.ignored.get(audited.shown, {})
        sites = [site for site in told.sites.get(audited.shown, ()) if not _is_suppressed(site, ignored, used)]
        if sites:
            findings += _reported(audited, sites, settings, told.hashes[audited.shown])
        unused += _in_vain(audited.shown, ignored, used, {rule.code for rule in ran})
    return tuple(findings), tuple(unused)


def _is_suppressed(site: Site, ignored: dict[int, frozenset[str]], used: set[tuple[int, str]]) -> bool:
    """Say whether a comment on one of a site's lines leaves it out, and take note of those that do."""
    lines = {site.first_line, *range(site.line, site.end_line + 1)}
    found = [line for line in lines if line in ignored and (not ignored[line] or site.code in ignored[line])]
    used.update((line, site.code) for line in found)
    return bool(found)


def _in_vain(
    path: str, ignored: dict[int, frozenset[str]], used: set[tuple[int, str]], ran: set[str]
) -> Iterator[Unused]:
    """Yield the comments that suppress nothing; what they name of rules that did not run is not judged."""
    known = {rule.code for rule in rules()}
    used_lines = {line for line, _ in used}
    for line, codes in sorted(ignored.items()):
        vain = sorted(code for code in codes if (code in ran or code not in known) and (line, code) not in used)
        if vain or (not codes and ran == known and line not in used_lines):
            yield Unused(path, line, tuple(vain))


def _reported(audited: AuditedFile, sites: Iterable[Site], settings: Settings, sha256: str) -> Iterator[Finding]:
    by_code = {rule.code: rule for rule in rules()}
    base = _project_path(audited)
    seen: Counter[str] = Counter()
    for site in sites:
        severity = settings.severity_at(site.code, site.severity, (audited.shown, base))
        if severity is None:
            continue
        identity = "\n".join((site.code, base, site.function or "", site.text))
        seen[identity] += 1
        numbered = f"{identity}\n{seen[identity]}".encode(errors="surrogatepass")
        fingerprint = hashlib.sha256(numbered).hexdigest()[:16]
        yield _finding(by_code[site.code], replace(site, severity=severity), audited.shown, fingerprint, sha256)


def _finding(rule: Rule, site: Site, path: str, fingerprint: str, sha256: str) -> Finding:
    return Finding(
        code=rule.code,
        name=rule.name,
        issue=rule.issue,
        phase=rule.phase,
        path=path,
        line=site.line,
        end_line=site.end_line,
        column=site.column,
        function=site.function,
        severity=site.severity,
        message=site.message,
        fix=site.fix,
        fix_reason=site.fix_reason,
        fingerprint=fingerprint,
        sha256=sha256,
        rewrites=site.rewrites,
    )


def _project_path(audited: AuditedFile) -> str:
    """Return the file's path within its project, else its name: the same from wherever, and however, it is audited."""
    file = audited.file.absolute()
    markers = ("pyproject.toml", "penstock.toml", "setup.py", ".git")
    for folder in file.parents:
        if any((folder / marker).exists() for marker in markers):
            return file.relative_to(folder).as_posix()
    return file.name
