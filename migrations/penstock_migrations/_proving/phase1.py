"""Phase 1 on any path: audit, codemod, verify and gate on a copy, so that what is written was tried before."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._proving.evidence import evidence_of
from penstock_migrations._proving.gate import Judgement, judge
from penstock_migrations._proving.phases import phase
from penstock_migrations._proving.project_copy import Copy, copied
from penstock_migrations._proving.user_tests import TestRun, running_tests
from penstock_migrations._proving.verify import Snapshot, Verification, runner, verify
from penstock_migrations._rewriting.codemod import Left, Plan, plan
from penstock_migrations._rewriting.project import project_root
from penstock_migrations._rewriting.write import Edit, write_all

__all__ = ["Phase1", "run_phase1"]

Runner = Callable[[str, Mapping[str, Path]], TestRun]


@dataclass(frozen=True, slots=True)
class Phase1:
    """What phase 1 came to; its paths are relative to the project's root.

    Attributes:
        root: The project's root.
        planned: The codemod's plan.
        edits: Its edits of the project; nothing is written yet.
        snapshot: What `verify` compared with.
        verification: What verify saw.
        judgement: The gate's.
    """

    root: Path
    planned: Plan
    edits: tuple[Edit, ...]
    snapshot: Snapshot
    verification: Verification
    judgement: Judgement


def run_phase1(
    path: Path,
    settings: Settings,
    *,
    review: bool = False,
    test_command: str | None = None,
    timeout: float = 900.0,
    reports: Path | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Phase1:
    """Try phase 1 on a copy; the project itself is only read.

    Args:
        path: A file or folder.
        settings: What to look for.
        review: Whether to rewrite what needs review, too.
        test_command: Runs the project's tests; None for an inconclusive run.
        timeout: Seconds that one run of the tests may take.
        reports: The folder with what `penstock perf` has written about the project.
        step: Told what is being done.

    Raises:
        TestCommandError: The test command cannot be started.
        WriteError: The copy cannot be written.
    """
    resolved, root = path.resolve(), project_root(path)
    reports = reports and reports.resolve()
    if not settings.select:
        settings = dataclasses.replace(settings, select=tuple(each.code for each in rules() if each.phase == 1))
    step(f"Copying {root.name}")
    # From within the copy every path is shown relative to the project's root, wherever the command was called.
    with copied(root) as copy, contextlib.chdir(copy.root):
        target = copy.of(resolved)
        step("Auditing, and planning the rewrite")
        planned = plan([target], settings, review=review, root=copy.root)
        _keep_inside(planned, copy)
        planned.notes += copy.missed
        write_all(planned.edits)
        step("Verifying what was rewritten")
        changed = [each.file for each in planned.edits]
        snapshot = Snapshot.of(
            planned.report.findings, planned.mended, changed, planned.files, copy.root, settings.select
        )
        run = runner(test_command, copy.root, timeout) if test_command else None
        verification = verify(target, settings, snapshot, run=run and _announced(run, step))
        if test_command and not all(each.passed for each in verification.tests):
            step("Running your tests on the code as it was")
            verification = dataclasses.replace(verification, fails_anyway=_fails_anyway(root, test_command, timeout))
        evidence = evidence_of(phase(1), target, copy.root, settings, verification, reports=reports)
        judgement = judge(phase(1), evidence)
        edits = tuple(dataclasses.replace(each, file=copy.origin(each.file)) for each in planned.edits)
    return Phase1(root, planned, edits, dataclasses.replace(snapshot, base=str(root)), verification, judgement)


def _announced(run: Runner, step: Callable[[str], None]) -> Runner:
    def announced(mode: str, changed: Mapping[str, Path]) -> TestRun:
        step(running_tests(mode))
        return run(mode, changed)

    return announced


def _fails_anyway(root: Path, test_command: str, timeout: float) -> bool:
    with copied(root) as untouched:
        return not runner(test_command, untouched.root, timeout)("off", {}).passed


def _keep_inside(planned: Plan, copy: Copy) -> None:
    """Leave what a link leads to, out of the copy: writing there would write to the original."""
    for edit in [each for each in planned.edits if not each.file.is_relative_to(copy.root)]:
        planned.edits.remove(edit)
        mine = [each for each in planned.mended if each.path == edit.path]
        planned.mended = [each for each in planned.mended if each.path != edit.path]
        planned.left += [Left(edit.path, "a link leads out of the project to it: run there", each) for each in mine]
