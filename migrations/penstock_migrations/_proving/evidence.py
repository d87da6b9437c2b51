"""What the gate is shown about a path: what the code is now, and what `verify` and `penstock perf` saw of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._proving.gate import Evidence
from penstock_migrations._proving.performance import performance_of
from penstock_migrations._proving.phases import Phase
from penstock_migrations._proving.verify import Verification, listed, tree_digest
from penstock_migrations._proving.visibility import starts_monitor, used_in, where_to_start
from penstock_migrations._rewriting.declaration import undeclared
from penstock_migrations._rewriting.entry_point import sets_mode_source
from penstock_migrations._rewriting.runtimes import LIMITS, MONITORING, runtimes
from penstock_migrations.rule import Severity

__all__ = ["evidence_of"]


def evidence_of(
    phase: Phase,
    path: Path,
    root: Path,
    settings: Settings,
    verification: Verification | None,
    *,
    reports: Path | None,
) -> Evidence:
    """Gather what the gate is shown about a path; a verification of other code than this counts as none.

    Args:
        phase: The phase to judge.
        path: The file or folder.
        root: Its project's root.
        settings: Of the project.
        verification: What `verify` saw; None if it has not run.
        reports: The folder with what `penstock perf` has written; None if there is none.
    """
    report = audit([path], settings)
    files = listed(root, settings)
    source = sets_mode_source(root, files.values())
    monitor = starts_monitor(root, files.values())
    ours = [*(["penstock-flags"] if source else []), *([MONITORING] if monitor else [])]
    needed = [LIMITS, *ours, *runtimes(_read(files.values()))]
    judged = listed(path, settings)
    current = verification if verification is not None and verification.tree == tree_digest(judged) else None
    return Evidence(
        files=report.files,
        findings=report.findings,
        unreadable=tuple(each.path for each in report.unreadable),
        hidden=tuple(
            each.code
            for each in rules()
            if each.name in phase.rules
            and (not settings.reports(each.code, Severity.MEDIUM) or settings.softens(each.code))
        ),
        verification=current,
        mode_source=None if source is None else source.relative_to(root).as_posix(),
        monitor=None if monitor is None else monitor.relative_to(root).as_posix(),
        start="" if monitor is not None else where_to_start(root, files.values()),
        used=used_in(root, _same(files.values(), judged.values())),
        performance=performance_of(root, reports, judged.values()),
        not_declared=tuple(undeclared(root, list(dict.fromkeys(needed)))),
    )


def _same(files: Iterable[Path], judged: Iterable[Path]) -> list[Path]:
    """Return those of the files that are judged; a path may have been given in other words than the root."""
    real = {os.path.realpath(each) for each in judged}
    return [each for each in files if os.path.realpath(each) in real]


def _read(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        with contextlib.suppress(OSError):
            yield file.read_bytes()
