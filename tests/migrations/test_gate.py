"""The gate: what the evidence must show before a phase passes."""

import dataclasses
import json
import time

import pytest
from click.testing import CliRunner
from penstock_migrations._proving.gate import Evidence, Outcome, judge
from penstock_migrations._proving.guarded import Accusation, Guarded, SeenResource
from penstock_migrations._proving.performance import Comparison, Performance
from penstock_migrations._proving.phases import phase, phases
from penstock_migrations._proving.user_tests import TestRun
from penstock_migrations._proving.verify import Verification
from penstock_migrations._proving.visibility import Used
from penstock_migrations.commands import codemod, gate, verify
from penstock_migrations.rule import Fix, Severity

from tests.migrations.project import TEST_COMMAND, finding, make_project


def ran(mode, **changes):
    facts = {"command": "pytest", "status": 0, "seconds": 1.0, "loaded": ("a.py",), "output": "1 passed"}
    return TestRun(mode=mode, **(facts | changes))


API_CALL = SeenResource("penstock_limits", "limiter", "api_call")
DATABASE = SeenResource("penstock_pooling", "pool", "127.0.0.1:5432/rag")
CLIENT = SeenResource("penstock_pooling", "client", "provider")
USED = (Used("penstock_limits", "api_call", "a.py:7"), Used("penstock_pooling", None, "b.py:9"))


def guarded(*checks, tests=3, resources=(API_CALL, DATABASE), failures=(), **changes):
    seen = [Accusation(check, "PEN301", "test_a", f"a {check} is left behind", "a.py", 3) for check in checks]
    return ran("guarded", guard=Guarded(tests, tuple(seen), failures, resources), **changes)


def compared(verdict="same", *, name="answers", current=True, interleaved=True):
    return Comparison(name, verdict, current, interleaved, at=1.0)


VERIFIED = Verification("tree", 1, ("a.py",), tests=(ran("off"), ran("enforce")), guarded=guarded())
GOOD = Evidence(
    files=1,
    findings=(),
    verification=VERIFIED,
    mode_source="main.py",
    monitor="main.py",
    used=USED,
    performance=Performance((compared(),)),
)


def verdict(**changes):
    return judge(phase(1), dataclasses.replace(GOOD, **changes)).verdict


def check_of(name, **changes):
    checks = judge(phase(1), dataclasses.replace(GOOD, **changes)).checks
    return next(check for check in checks if check.name == name)


def verified(**changes):
    return dataclasses.replace(VERIFIED, **changes)


def test_all_evidence_and_nothing_left_passes():
    """Every check that this release carries was made, and each holds."""
    judgement = judge(phase(1), GOOD)

    assert judgement.verdict is Outcome.PASS
    assert {check.outcome for check in judgement.checks} == {Outcome.PASS}


def test_what_this_release_does_not_cover_is_named():
    """A pass never hides what nobody has judged: here a phase of which nothing is judged yet."""
    later = next(each for each in phases() if each.number == 2)

    judgement = judge(later, GOOD)

    assert judgement.checks == ()
    assert judgement.not_covered == tuple(each.statement for each in later.criteria)


def test_without_a_baseline_performance_is_not_judged_and_named():
    """The plan asks phase 1 for no baseline; who keeps one is held to it."""
    judgement = judge(phase(1), dataclasses.replace(GOOD, performance=None))

    assert judgement.verdict is Outcome.PASS
    assert judgement.not_covered == (
        "No regression in system performance: no baseline is kept; penstock perf record makes one",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"files": 0},
        {"verification": None},
        {"verification": verified(tests=())},
        {"verification": verified(tests=(ran("off"),))},
        {"verification": verified(tests=(ran("off"), ran("enforce", loaded=())))},
        {"verification": verified(tests=(ran("off", status=1), ran("enforce")), fails_anyway=True)},
        {"verification": verified(guarded=None)},
        {"verification": verified(guarded=ran("guarded"))},
        {"verification": verified(guarded=guarded(tests=0))},
        {"verification": verified(guarded=guarded(status=1))},
        {"verification": verified(guarded=guarded(failures=("Threads.before: OSError()",)))},
        {"verification": verified(guarded=guarded("task", status=1))},
        {"verification": verified(guarded=guarded("executor", status=1))},
        {"verification": verified(guarded=guarded(status=None))},
        {"verification": verified(guarded=guarded(resources=()))},
        {"verification": verified(guarded=guarded(resources=(API_CALL,)))},
        {"verification": verified(guarded=guarded(resources=(DATABASE,)))},
        {"verification": verified(guarded=guarded(resources=(API_CALL, CLIENT)))},
        {"monitor": None},
        {"performance": Performance((compared(current=False),))},
        {"performance": Performance((compared("regressed", current=False),))},
        {"performance": Performance((compared("inconclusive"),))},
        {"performance": Performance((compared(interleaved=False),))},
        {"performance": Performance((compared("regressed", interleaved=False),))},
        {"performance": Performance((compared(), compared("inconclusive", name="load")))},
        {"performance": Performance(uncompared=("answers",))},
        {"performance": Performance((compared(),), unreadable=("perf.json: KeyError('at')",))},
        {"mode_source": None},
        {"not_declared": ("penstock-limits",)},
        {"unreadable": ("broken.py",)},
        {"hidden": ("PEN102",)},
        {"hidden": ("PEN201",)},
        {"hidden": ("PEN301",)},
        {"verification": None, "findings": (finding(fix=Fix.NONE),)},
    ],
    ids=[
        "no-files",
        "not-verified",
        "no-tests",
        "one-mode",
        "tests-of-other-code",
        "tests-fail-anyway",
        "not-guarded",
        "no-guard-there",
        "guard-saw-no-test",
        "tests-fail-under-the-guard",
        "guard-failed",
        "tests-fail-under-the-guard-with-another-accusation",
        "tests-fail-under-the-guard-with-this-accusation",
        "tests-too-long-under-the-guard",
        "nothing-seen",
        "no-pool-seen",
        "no-limit-seen",
        "only-a-client-seen",
        "no-monitor",
        "stale-comparison",
        "stale-regression",
        "undecided-comparison",
        "compared-with-earlier-runs",
        "regressed-from-earlier-runs",
        "one-undecided-comparison",
        "never-compared",
        "unreadable-comparison",
        "no-mode-source",
        "not-declared",
        "unreadable",
        "rule-ignored",
        "rule-of-connections-ignored",
        "rule-of-threads-ignored",
        "no-tests-and-findings",
    ],
)
def test_missing_evidence_is_inconclusive(changes):
    """It neither passes nor blames the rewrite."""
    assert verdict(**changes) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    "changes",
    [
        {"findings": (finding(fix=Fix.NONE),)},
        {"findings": (finding(code="PEN201", fix=Fix.NONE),)},
        {"findings": (finding(code="PEN301", fix=Fix.NONE),)},
        {"verification": verified(guarded=guarded("fan-out"))},
        {"verification": verified(guarded=guarded("thread"))},
        {"verification": verified(guarded=guarded("executor"))},
        {"verification": verified(problems=("a.py:1: PEN101 is new",))},
        {"verification": verified(broken=("a.py: does not compile",), tests=())},
        {"verification": verified(tests=(ran("off"), ran("enforce", status=1)))},
        {"verification": verified(tests=(ran("off", status=None), ran("enforce")))},
        {"verification": verified(tests=(ran("off", status=1),)), "mode_source": None},
        {"performance": Performance((compared(), compared("regressed", name="load")))},
        {"performance": Performance((compared("regressed"), compared("inconclusive", name="load")))},
        {"performance": Performance((compared("regressed"),)), "verification": None},
    ],
    ids=[
        "finding",
        "connection",
        "thread",
        "seen-fan-out",
        "seen-thread",
        "seen-executor",
        "new",
        "broken",
        "tests-enforce",
        "timeout",
        "harm-and-missing",
        "regressed",
        "regressed-and-undecided",
        "regressed-and-missing",
    ],
)
def test_an_unmet_criterion_fails(changes):
    """With the evidence at hand, or when the rewrite does harm, whatever else is missing."""
    assert verdict(**changes) is Outcome.FAIL


def test_each_defect_counts_for_its_own_criterion():
    """A connection that is left says nothing of fan-outs."""
    left = judge(phase(1), dataclasses.replace(GOOD, findings=(finding(code="PEN201", fix=Fix.NONE),)))

    assert {check.name: check.outcome for check in left.checks if check.name.startswith("nothing-un")} == {
        "nothing-unbounded": Outcome.PASS,
        "nothing-unpooled": Outcome.FAIL,
        "nothing-unowned": Outcome.PASS,
    }


def test_what_the_guard_saw_counts_for_its_own_criterion():
    """A task that is left behind is no matter of this phase; the fan-out is told with its place."""
    seen = dataclasses.replace(GOOD, verification=verified(guarded=guarded("task", "fan-out", "fan-out")))
    checks = {check.name: check for check in judge(phase(1), seen).checks}

    assert checks["guard-threads"].outcome is Outcome.PASS
    assert checks["guard-fanout"].evidence == "a fan-out is left behind: a.py:3 (in test_a) and 1 more"


def test_a_run_that_fails_under_the_guard_proves_nothing():
    """What it accuses counts; that it accuses nothing else does not, as it may have come to nothing else."""
    failed = dataclasses.replace(GOOD, verification=verified(guarded=guarded("executor", status=1)))
    checks = {check.name: check for check in judge(phase(1), failed).checks}

    assert checks["guard-threads"].outcome is Outcome.FAIL
    assert checks["guard-fanout"].outcome is Outcome.INCONCLUSIVE
    assert checks["resources-visible"].outcome is Outcome.INCONCLUSIVE
    assert "only what a run that fails accuses counts" in checks["guard-fanout"].evidence


def test_what_was_seen_of_the_rewritten_code_is_named():
    """And what was not, with the line that a test has to come to."""
    unseen = verified(guarded=guarded(resources=()))

    assert check_of("resources-visible").evidence == "seen while your tests ran: limit 'api_call', connections"
    assert check_of("resources-visible", verification=unseen).evidence == (
        "no test came to limit 'api_call': let one of them run a.py:7 and 1 more, and verify again"
    )
    assert check_of("resources-visible", used=(), verification=unseen).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "other",
    [
        SeenResource("penstock_limits", "limiter", "default"),
        SeenResource("penstock_limits", "rate", "api_call"),
        SeenResource("agents", "limiter", "api_call"),
    ],
)
def test_another_resource_is_not_the_one_that_code_uses(other):
    """A limit is seen under its own name, as a limiter, made by penstock."""
    seen = verified(guarded=guarded(resources=(DATABASE, other)))

    assert check_of("resources-visible", verification=seen).outcome is Outcome.INCONCLUSIVE


def test_without_a_monitor_the_lines_to_add_are_said():
    """Where, and for which way of looking."""
    said = check_of("monitor-started", monitor=None, start="in main() of agents/main.py").evidence

    assert said.startswith("nobody can see what the limits do: in main() of agents/main.py, ")
    assert "`async with penstock_monitoring.ConcurrencyMonitor(page=0):`" in said
    assert "`penstock_monitoring.PrometheusCollector().register()`" in said


def test_what_was_compared_is_named():
    """Each baseline with its verdict, and what is missing with the command."""
    both = Performance((compared(), compared("better", name="load")))
    stale = Performance((compared(current=False),))

    assert check_of("no-regression", performance=both).evidence == "answers: same, load: better"
    assert check_of("no-regression", performance=stale).evidence == (
        "the code is newer than the comparison of answers: run penstock perf compare again, with --evidence"
    )


def test_advice_and_other_phases_do_not_hold_a_phase_up():
    """Severity low is advice; a rule of another phase has its own gate."""
    other = dataclasses.replace(finding(), name="of-another-phase")

    assert verdict(findings=(finding(severity=Severity.LOW), other)) is Outcome.PASS


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call a command in the project's folder."""
    monkeypatch.chdir(make_project(tmp_path / "project"))

    def called(command, *arguments):
        return CliRunner().invoke(command, [*arguments, "--reports", "../reports"], catch_exceptions=False)

    return called


def test_the_way_to_a_pass(call, tmp_path):
    """Codemod, verify with the project's own tests, gate; each leaves the next its evidence."""
    assert call(codemod, ".", "--write").exit_code == 0
    assert call(verify, ".", *TEST_COMMAND).exit_code == 0

    result = call(gate, ".")

    assert result.exit_code == 0
    assert "Phase 1: PASS" in result.stdout
    entry = json.loads((tmp_path / "reports/ledger.jsonl").read_text())
    assert (entry["verdict"], entry["phase"]) == ("pass", 1)


def test_code_changed_since_it_was_verified_needs_a_new_verification(call, tmp_path):
    """Evidence holds for the code that it was taken from, and no other."""
    call(codemod, ".", "--write")
    call(verify, ".", *TEST_COMMAND)
    (tmp_path / "project/agents/main.py").write_text("def main(): ...\n")

    result = call(gate, ".")

    assert result.exit_code == 3
    assert "run penstock verify" in result.stdout


def test_an_ignored_rule_is_no_evidence(call, tmp_path):
    """Settings may keep a rule quiet, and the gate says that it has not looked."""
    file = tmp_path / "project/pyproject.toml"
    file.write_text(file.read_text() + '\n[tool.penstock.audit]\nignore = ["PEN101"]\n')

    result = call(gate, ".")

    assert result.exit_code == 3
    assert "the settings leave out PEN101" in result.stdout


@pytest.mark.parametrize("severity", ["low", "off"])
def test_a_rule_made_advice_is_no_evidence(call, tmp_path, severity):
    """Nor may settings make the gate overlook what they have only softened."""
    file = tmp_path / "project/pyproject.toml"
    file.write_text(file.read_text() + f'\n[tool.penstock.audit.severities]\nPEN101 = "{severity}"\n')

    result = call(gate, ".")

    assert result.exit_code == 3
    assert "the settings leave out PEN101" in result.stdout


def test_a_broken_ledger_stops_the_gate(call, tmp_path):
    """Status 1, and the line that is wrong."""
    call(gate, ".")
    ledger = tmp_path / "reports/ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("inconclusive", "pass"))

    result = call(gate, ".")

    assert result.exit_code == 1
    assert "line 1: was changed after it was written" in result.stderr


def test_a_phase_that_is_not_covered_is_wrong_usage(call):
    """No gate that cannot fail."""
    result = call(gate, ".", "--phase", "2")

    assert result.exit_code == 2
    assert "phase 2 is not covered by this release; covered: 1" in result.stderr


def test_a_comparison_holds_until_the_code_changes(call, tmp_path):
    """What perf compare writes into the reports folder is judged, by its time and that of the files."""
    call(codemod, ".", "--write")
    call(verify, ".", *TEST_COMMAND)
    evidence = tmp_path / "reports/perf.json"
    document = {
        "version": 1,
        "kind": "performance-comparison",
        "name": "answers",
        "verdict": "regressed",
        "interleaved": True,
    }
    evidence.write_text(json.dumps({**document, "verdict": "regressed", "at": time.time() + 1}))

    regressed = call(gate, ".")
    evidence.write_text(json.dumps({**document, "verdict": "same", "at": 1.0}))
    stale = call(gate, ".")

    assert (regressed.exit_code, stale.exit_code) == (1, 3)
    assert "no-regression: answers costs more than before" in regressed.stdout
    assert "no-regression: the code is newer than the comparison of answers" in stale.stdout


def test_a_program_without_a_monitor_is_told_where_to_start_one(call, tmp_path):
    """At the entry point that the project's scripts name."""
    main = tmp_path / "project/agents/main.py"
    main.write_text(main.read_text().replace("ConcurrencyMonitor(page=0)", "contextlib.nullcontext()"))

    result = call(gate, ".")

    assert "monitor-started: nobody can see what the limits do: in main() of agents/main.py, run" in result.stdout


def test_a_damaged_report_is_named(call, tmp_path):
    """A line that says which file, and what to do."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/verify.json").write_text("[1]")

    result = call(gate, ".")

    assert result.exit_code == 2
    assert "run penstock verify again" in result.stderr
