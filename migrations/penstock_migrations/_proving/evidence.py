"""What the gate is shown about a path: an audit of the code as it is, and what `verify` saw of the same code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._proving.gate import Evidence
from penstock_migrations._proving.phases import Phase
from penstock_migrations._proving.verify import Verification, listed, tree_digest
from penstock_migrations._rewriting.declaration import undeclared
from penstock_migrations._rewriting.entry_point import sets_mode_source
from penstock_migrations._rewriting.runtimes import LIMITS, runtimes
from penstock_migrations.rule import Severity

__all__ = ["evidence_of"]


def evidence_of(
    phase: Phase, path: Path, root: Path, settings: Settings, verification: Verification | None
) -> Evidence:
    """Gather what the gate is shown about a path; a verification of other code than this counts as none."""
    report = audit([path], settings)
    files = listed(root, settings)
    source = sets_mode_source(root, files.values())
    needed = [LIMITS, *(["penstock-flags"] if source else []), *runtimes(_read(files.values()))]
    current = verification is not None and verification.tree == tree_digest(listed(path, settings))
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
        verification=verification if current else None,
        mode_source=None if source is None else source.relative_to(root).as_posix(),
        not_declared=tuple(undeclared(root, list(dict.fromkeys(needed)))),
    )


def _read(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        with contextlib.suppress(OSError):
            yield file.read_bytes()
