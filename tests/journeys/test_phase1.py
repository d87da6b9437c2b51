"""Audit, codemod, verify and gate on the example, by the command line."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from examples.demo._by_hand import mend, watch

TESTS = f"{sys.executable} -m pytest -q"
FIELDS = {
    *("code", "name", "issue", "phase", "path", "line", "end_line", "column"),
    *("function", "severity", "message", "fix", "fix_reason", "fingerprint"),
}


def findings(run, project):
    return json.loads(run(project, "audit", ".", "--select", "1", "--format", "json").output)["findings"]


def sources(project: Path) -> dict[str, bytes]:
    files = (*project.rglob("*.py"), project / "pyproject.toml")
    return {file.relative_to(project).as_posix(): file.read_bytes() for file in files}


def test_the_audit_tells_where_each_fan_out_is(project, run):
    """Every finding has all fields, and its line is that of the offending call."""
    audited = run(project, "audit", ".", "--select", "1", "--format", "json")
    report = json.loads(audited.output)

    assert audited.status == 1
    assert report["version"] == 1
    assert report["unreadable"] == []
    assert {each["path"] for each in report["findings"]} == {
        "agents/chat/tools.py",
        "agents/chat/workflow.py",
        "agents/provider.py",
        "agents/rag/workflow.py",
        "agents/research/workflow.py",
        "scripts/stress_test.py",
    }
    for each in report["findings"]:
        assert set(each) == FIELDS
        assert each["line"] in calls_in(project / each["path"])


def calls_in(file: Path) -> set[int]:
    return {node.lineno for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)}


def test_what_is_bounded_already_is_left_alone(project, run):
    """Batches, a slice, a few questions, drained tasks and the shared modules are no findings."""
    functions = {each["function"] for each in findings(run, project)}

    assert not functions & {"ChatWorkflow.digest", "ResearchWorkflow.titles", "ResearchWorkflow.run"}
    assert not any(each["path"].startswith("agents/shared/") for each in findings(run, project))


def test_without_write_nothing_is_written(project, run):
    """The codemod shows what it would do; the files stay as they are."""
    before = sources(project)
    shown = run(project, "codemod", ".", "--select", "1")

    assert shown.status == 1
    assert "+        results = await penstock_limits.gather(*readings" in shown.output
    assert sources(project) == before


def test_the_codemod_mends_what_is_safe_and_a_second_run_changes_nothing(project, run):
    """What is left is what was not safe; running it again finds nothing more to do."""
    unsafe = [each["fingerprint"] for each in findings(run, project) if each["fix"] != "safe"]
    written = run(project, "codemod", ".", "--select", "1", "--write")
    after = sources(project)
    again = run(project, "codemod", ".", "--select", "1", "--write")

    assert (written.status, again.status) == (1, 1)
    assert [each["fingerprint"] for each in findings(run, project)] == unsafe
    assert sources(project) == after


def test_the_codemod_replaces_the_connection_for_each_operation(project, run):
    """The helper that opens it keeps its name, its callers are as they were, and what it needs is declared."""
    before = (project / "agents/rag/store.py").read_text("utf-8")
    written = run(project, "codemod", ".", "--select", "2", "--write")
    after = (project / "agents/rag/store.py").read_text("utf-8")

    assert written.status == 0, written.output
    assert after == before.replace("import asyncpg\n", "import asyncpg\nimport penstock_pooling\n").replace(
        "await asyncpg.connect(", "await penstock_pooling.connect("
    )
    assert '"penstock-pooling"' in (project / "pyproject.toml").read_text("utf-8")
    assert "set_mode_source" in (project / "agents/main.py").read_text("utf-8")


def test_the_codemod_sets_the_mode_source_and_declares_what_it_imports(project, run):
    """The entry point asks the flags, and the project depends on both packages."""
    run(project, "codemod", ".", "--select", "1", "--write")
    main = (project / "agents" / "main.py").read_text("utf-8")
    declaration = (project / "pyproject.toml").read_text("utf-8")

    assert "    penstock_limits.set_mode_source(penstock_flags.open())\n" in main
    assert '"penstock-limits"' in declaration
    assert '"penstock-flags"' in declaration


def test_the_gate_stays_shut_without_evidence(project, run):
    """A migrated project that nobody has verified is not promoted."""
    run(project, "codemod", ".", "--select", "1", "--write")
    mend(project)
    watch(project)

    assert run(project, "gate", ".").status == 3


def test_the_agents_own_tests_pass_after_the_phase_and_the_gate_opens(migrated, run):
    """Verified by the project's own tests, off and enforced, the gate passes; the ledger has the evidence."""
    verified = run(migrated, "verify", ".", "--test-command", TESTS)
    gate = run(migrated, "gate", ".")
    entries = (migrated / "penstock-reports" / "ledger.jsonl").read_text("utf-8").splitlines()

    assert verified.status == 0, verified.output
    assert gate.status == 0, gate.output
    assert len(entries) == 1


@pytest.mark.slow
def test_phase1_does_it_all_on_a_copy_and_leaves_the_project_alone(project, run):
    """A finding and a monitor are left to people, so the gate stays shut; nothing but the report is written."""
    before = sources(project)
    done = run(project, "phase1", ".", "--test-command", TESTS)
    report = json.loads((project / "penstock-reports" / "phase1.json").read_text("utf-8"))

    assert done.status == 3, done.output + done.errors
    assert {each["name"] for each in report["checks"] if each["outcome"] != "pass"} == {
        "nothing-unbounded",
        "monitor-started",
    }
    assert sources(project) == before


@pytest.mark.slow
def test_phase1_writes_the_whole_phase_when_asked(project, run):
    """With the last finding mended and a monitor started by hand, one command takes the project through the phase."""
    mend(project)
    watch(project)
    done = run(project, "phase1", ".", "--write", "--test-command", TESTS)

    assert done.status == 0, done.output + done.errors
    assert findings(run, project) == []
