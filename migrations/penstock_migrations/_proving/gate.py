"""The gate: a phase's criteria judged on evidence. It measures nothing itself and promotes only what is proven."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock_migrations._counted import counted
from penstock_migrations._proving.guarded import Guarded
from penstock_migrations._proving.performance import Performance
from penstock_migrations._proving.phases import Phase
from penstock_migrations._proving.user_tests import TestRun
from penstock_migrations._proving.verify import Verification
from penstock_migrations._proving.visibility import Used
from penstock_migrations.rule import Finding, Severity

__all__ = ["Check", "Evidence", "Judgement", "Outcome", "judge"]


class Outcome(enum.StrEnum):
    """What a check or a gate says."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_status(self) -> int:
        """The status with which a command ends: 0, 1 or 3."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the gate is shown.

    Attributes:
        files: How many files the audit has read.
        findings: What the audit finds now, suppressed ones left out.
        unreadable: Files that could not be audited.
        hidden: Codes of the phase's rules that the settings leave out of the audit.
        verification: What `verify` saw; None if it has not run, or the code has changed since.
        mode_source: Where the mode source is set; None if nowhere.
        not_declared: Distributions that the code needs and the project does not declare.
        monitor: Where a monitor is started; None if nowhere.
        start: Where one belongs, if there is none.
        used: The limits and pools that the code uses.
        performance: What `penstock perf` has written; None if nothing.
    """

    files: int
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    verification: Verification | None = None
    mode_source: str | None = None
    not_declared: tuple[str, ...] = ()
    monitor: str | None = None
    start: str = "where the program starts"
    used: tuple[Used, ...] = ()
    performance: Performance | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check's outcome.

    Attributes:
        name: Its name in phases.toml.
        outcome: Pass, fail, or inconclusive for want of evidence.
        evidence: What was seen, in one line.
        criterion: The criterion that it serves.
    """

    name: str
    outcome: Outcome
    evidence: str
    criterion: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A phase's verdict, with the checks behind it and the criteria that are not judged.

    Attributes:
        phase: The phase's number.
        verdict: The verdict.
        tree: Hash of the code that was verified, None if it was not.
        checks: The checks, in the plan's order.
        not_covered: The statements of the criteria that are not judged: this release does not, or nobody asks for it.
    """

    phase: int
    verdict: Outcome
    tree: str | None
    checks: tuple[Check, ...]
    not_covered: tuple[str, ...]


def judge(phase: Phase, evidence: Evidence) -> Judgement:
    """Judge a phase.

    A rewrite that does harm fails. Then missing evidence makes the verdict inconclusive, whatever the rest says; only
    with all evidence at hand does it depend on the defects that are left.
    """
    checks: list[Check] = []
    not_judged: list[str] = []
    for criterion in phase.criteria:
        if not criterion.checks:
            not_judged.append(criterion.statement)
        for name in criterion.checks:
            outcome, seen = _CHECKS[name](phase, evidence)
            if outcome is None:
                not_judged.append(f"{criterion.statement}: {seen}")
            else:
                checks.append(Check(name, outcome, seen, criterion.statement))
    tree = evidence.verification.tree if evidence.verification else None
    return Judgement(phase.number, _verdict(checks), tree, tuple(checks), tuple(not_judged))


def _verdict(checks: Sequence[Check]) -> Outcome:
    failed = {check.name for check in checks if check.outcome is Outcome.FAIL}
    if failed - _DEFECTS:
        return Outcome.FAIL
    if any(check.outcome is Outcome.INCONCLUSIVE for check in checks):
        return Outcome.INCONCLUSIVE
    return Outcome.FAIL if failed else Outcome.PASS


Seen = tuple[Outcome, str]
NotAsked = tuple[None, str]  # nothing to be judged, and why


def _nothing_left(issue: int) -> Callable[[Phase, Evidence], Seen]:
    """Return the check that the phase's rules for one critical issue find nothing any more."""

    def check(phase: Phase, evidence: Evidence) -> Seen:
        findings = [each for each in evidence.findings if each.issue == issue and each.name in phase.rules]
        left = [each for each in findings if each.severity is not Severity.LOW]
        hidden = [code for code in evidence.hidden if int(code[3]) == issue]
        if left:
            return Outcome.FAIL, f"{counted(len(left), 'finding')} left: {left[0].path}:{left[0].line}{_and_more(left)}"
        if hidden:
            return Outcome.INCONCLUSIVE, f"the settings leave out {', '.join(hidden)}"
        if evidence.unreadable:
            return Outcome.INCONCLUSIVE, f"{counted(len(evidence.unreadable), 'file')} could not be audited"
        if not evidence.files:
            return Outcome.INCONCLUSIVE, "there was no Python file to audit: is this the right path?"
        return Outcome.PASS, f"the audit of {counted(evidence.files, 'file')} finds none"

    return check


def _nothing_new(_: Phase, evidence: Evidence) -> Seen:
    if evidence.verification is None:
        return _unverified()
    problems = evidence.verification.problems
    if problems:
        return Outcome.FAIL, "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")
    return Outcome.PASS, f"{counted(evidence.verification.mended, 'defect')} mended, none came back, none is new"


def _compiles(_: Phase, evidence: Evidence) -> Seen:
    if evidence.verification is None:
        return _unverified()
    broken = evidence.verification.broken
    if broken:
        return Outcome.FAIL, "; ".join(broken[:3])
    return Outcome.PASS, f"{counted(len(evidence.verification.changed), 'rewritten file')}, each compiles"


def _tests(mode: str) -> Callable[[Phase, Evidence], Seen]:
    def check(_: Phase, evidence: Evidence) -> Seen:
        if evidence.verification is None:
            return _unverified()
        run = next((each for each in evidence.verification.tests if each.mode == mode), None)
        if run is None:
            return Outcome.INCONCLUSIVE, 'your tests were not run: give --test-command "..."'
        return _seen_in(run, evidence.verification)

    return check


def _seen_in(run: TestRun, verification: Verification) -> Seen:
    if run.lacks_runtime:
        return Outcome.INCONCLUSIVE, run.ending
    if not run.passed and verification.fails_anyway:
        return Outcome.INCONCLUSIVE, f"{run.ending}; your tests fail without the rewrite, too: mend them first"
    if not run.passed:
        return Outcome.FAIL, run.ending
    if verification.changed and not run.loaded:
        return Outcome.INCONCLUSIVE, f"{run.ending}, but loaded none of the rewritten files: do they test this code?"
    unseen = len(verification.changed) - len(run.loaded)
    reached = f", {len(run.loaded)} of {counted(len(verification.changed), 'rewritten file')} loaded" if unseen else ""
    return Outcome.PASS, run.ending + reached


def _guard(accused: frozenset[str]) -> Callable[[Phase, Evidence], Seen]:
    """Return the check that the project's tests, with the guard looking on, do none of some things."""

    def check(_: Phase, evidence: Evidence) -> Seen:
        guard = _guard_of(evidence)
        seen = [each for each in guard.accusations if each.check in accused]
        if seen:
            return Outcome.FAIL, f"{seen[0].message}: {seen[0].place}{_and_more(seen)}"
        return _unproven(evidence) or (Outcome.PASS, f"the guard saw none in {counted(guard.tests, 'test')}")

    return check


def _guard_of(evidence: Evidence) -> Guarded:
    run = evidence.verification.guarded if evidence.verification else None
    return run.guard if run and run.guard else Guarded(0, ())


def _unproven(evidence: Evidence) -> Seen | None:
    """Say why the run under the guard proves nothing, whatever it accuses; None if it does."""
    if evidence.verification is None:
        return _unverified()
    run = evidence.verification.guarded
    if run is None:
        return Outcome.INCONCLUSIVE, "your tests were not run under the guard: they have to pass without it first"
    if run.guard is None or not run.guard.tests:
        return Outcome.INCONCLUSIVE, f"the guard saw none of your tests: {_missed(run)}"
    if not run.passed:
        return Outcome.INCONCLUSIVE, f"under the guard {run.ending}: only what a run that fails accuses counts"
    if run.guard.failures:
        return Outcome.INCONCLUSIVE, f"the guard failed itself: {run.guard.failures[0]}"
    return None


def _and_more(those: Sequence[object]) -> str:
    return f" and {len(those) - 1} more" if len(those) > 1 else ""


def _missed(run: TestRun) -> str:
    return run.ending if run.status is None else "is penstock-guard installed where they run, and is it pytest?"


def _mode_source(_: Phase, evidence: Evidence) -> Seen:
    if evidence.mode_source is None:
        return Outcome.INCONCLUSIVE, "the mode source is set nowhere: no flag reaches the program"
    return Outcome.PASS, f"set in {evidence.mode_source}"


def _declared(_: Phase, evidence: Evidence) -> Seen:
    if evidence.not_declared:
        return Outcome.INCONCLUSIVE, f"not declared as dependencies: {', '.join(evidence.not_declared)}"
    return Outcome.PASS, "what the code needs is declared"


def _monitor_started(_: Phase, evidence: Evidence) -> Seen:
    if evidence.monitor is None:
        lines = "run the program within `async with penstock_monitoring.ConcurrencyMonitor(page=0):`"
        or_else = "or, for Prometheus, add `penstock_monitoring.PrometheusCollector().register()`"
        return Outcome.INCONCLUSIVE, f"nobody can see what the limits do: {evidence.start}, {lines}, {or_else}"
    return Outcome.PASS, f"started in {evidence.monitor}"


def _resources_visible(_: Phase, evidence: Evidence) -> Seen:
    unproven = _unproven(evidence)
    if unproven:
        return unproven
    seen = _guard_of(evidence).resources
    unseen = [each for each in evidence.used if not each.is_among(seen)]
    if unseen:
        where = f"{unseen[0].place}{_and_more(unseen)}"
        return Outcome.INCONCLUSIVE, f"no test came to {unseen[0]}: let one of them run {where}, and verify again"
    if not evidence.used:
        return Outcome.PASS, "the code uses no limit and no pool that would have to be seen"
    return Outcome.PASS, f"seen while your tests ran: {', '.join(map(str, evidence.used))}"


def _no_regression(_: Phase, evidence: Evidence) -> Seen | NotAsked:
    known = evidence.performance
    if known is None:
        return None, "no baseline is kept; penstock perf record makes one"
    found = known.comparisons
    regressed = [each.name for each in found if each.interleaved and each.current and each.verdict == "regressed"]
    if regressed:
        return Outcome.FAIL, f"{regressed[0]} costs more than before{_and_more(regressed)}"
    stale = [each.name for each in found if not each.current]
    apart = [each.name for each in found if not each.interleaved]
    undecided = [each.name for each in found if each.verdict == "inconclusive"]
    again = ": run penstock perf compare again, with --evidence"
    missing: tuple[tuple[Sequence[str], str, str], ...] = (
        (known.unreadable, "cannot be read as evidence: ", ""),
        (stale, "the code is newer than the comparison of ", again),
        (known.uncompared, "nothing was compared with the baseline of ", again),
        (apart, "", " was compared with runs of another time: give penstock perf compare a command"),
        (undecided, "too few runs to tell about ", again),
    )
    for names, before, after in missing:
        if names:
            return Outcome.INCONCLUSIVE, f"{before}{names[0]}{_and_more(names)}{after}"
    return Outcome.PASS, ", ".join(f"{each.name}: {each.verdict}" for each in found)


def _unverified() -> Seen:
    return Outcome.INCONCLUSIVE, "not verified as the code is now: run penstock verify"


# What is left to be mended, and does no new harm.
_DEFECTS = frozenset({"nothing-unbounded", "nothing-unpooled", "nothing-unowned", "guard-fanout", "guard-threads"})
_CHECKS: dict[str, Callable[[Phase, Evidence], Seen | NotAsked]] = {
    "nothing-unbounded": _nothing_left(1),
    "guard-fanout": _guard(frozenset({"fan-out"})),
    "nothing-unpooled": _nothing_left(2),
    "nothing-unowned": _nothing_left(3),
    "guard-threads": _guard(frozenset({"thread", "executor"})),
    "nothing-new": _nothing_new,
    "compiles": _compiles,
    "tests-off": _tests("off"),
    "tests-enforce": _tests("enforce"),
    "mode-source": _mode_source,
    "declared": _declared,
    "monitor-started": _monitor_started,
    "resources-visible": _resources_visible,
    "no-regression": _no_regression,
}
