"""The gate: what the evidence must show before a phase passes."""

import dataclasses
import json

import pytest
from click.testing import CliRunner
from penstock_migrations._proving.gate import Evidence, Outcome, judge
from penstock_migrations._proving.guarded import Accusation, Guarded
from penstock_migrations._proving.phases import phase
from penstock_migrations._proving.user_tests import TestRun
from penstock_migrations._proving.verify import Verification
from penstock_migrations.commands import codemod, gate, verify
from penstock_migrations.rule import Fix, Severity

from tests.migrations.project import TEST_COMMAND, finding, make_project


def ran(mode, **changes):
    facts = {"command": "pytest", "status": 0, "seconds": 1.0, "loaded": ("a.py",), "output": "1 passed"}
    return TestRun(mode=mode, **(facts | changes))


def guarded(*checks, tests=3, **changes):
    seen = [Accusation(check, "PEN301", "test_a", f"a {check} is left behind", "a.py", 3) for check in checks]
    return ran("guarded", guard=Guarded(tests, tuple(seen)), **changes)


VERIFIED = Verification("tree", 1, ("a.py",), tests=(ran("off"), ran("enforce")), guarded=guarded())
GOOD = Evidence(files=1, findings=(), verification=VERIFIED, mode_source="main.py")


def verdict(**changes):
    return judge(phase(1), dataclasses.replace(GOOD, **changes)).verdict


def verified(**changes):
    return dataclasses.replace(VERIFIED, **changes)


def test_all_evidence_and_nothing_left_passes():
    """Every check that this release carries was made, and each holds."""
    judgement = judge(phase(1), GOOD)

    assert judgement.verdict is Outcome.PASS
    assert {check.outcome for check in judgement.checks} == {Outcome.PASS}


def test_what_this_release_does_not_cover_is_named():
    """A pass never hides what nobody has judged."""
    assert judge(phase(1), GOOD).not_covered == ("Basic resource usage visibility",)


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
        {"verification": verified(guarded=guarded("executor", status=1))},
        {"verification": verified(problems=("a.py:1: PEN101 is new",))},
        {"verification": verified(broken=("a.py: does not compile",), tests=())},
        {"verification": verified(tests=(ran("off"), ran("enforce", status=1)))},
        {"verification": verified(tests=(ran("off", status=None), ran("enforce")))},
        {"verification": verified(tests=(ran("off", status=1),)), "mode_source": None},
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


def test_a_damaged_report_is_named(call, tmp_path):
    """A line that says which file, and what to do."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/verify.json").write_text("[1]")

    result = call(gate, ".")

    assert result.exit_code == 2
    assert "run penstock verify again" in result.stderr
