"""Codemods and runtime meet by names only: every name that is written exists, and takes what it is given."""

import ast
import importlib
import inspect
import operator
import tomllib
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._proving.gate import _CHECKS
from penstock_migrations._proving.phases import phases
from penstock_migrations._rewriting.entry_point import MODE_SOURCE
from penstock_migrations.rule import ReplaceCall

ROOT = Path(__file__).parents[2]
EXAMPLES = [(rule, example) for rule in rules() for example in rule.bad]


def written_by(rule, example, folder):
    """Return the calls that a rule's example is rewritten to."""
    (folder / "example.py").write_text(example.source)
    findings = audit([folder], Settings(select=(rule.code,))).findings
    return [each for finding in findings for each in finding.rewrites if isinstance(each, ReplaceCall)]


def resolve(name, module=None):
    module = module or name.rpartition(".")[0]
    return operator.attrgetter(name.removeprefix(f"{module}."))(importlib.import_module(module))


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[f"{r.name}: {e.title}" for r, e in EXAMPLES])
def test_every_name_that_a_rule_writes_resolves(rule, example, tmp_path, monkeypatch):
    """And its signature takes the keywords that are written."""
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "cache"))

    for call in written_by(rule, example, tmp_path):
        known = inspect.signature(resolve(call.callee, call.imported)).parameters
        assert {name for name, _ in call.keywords} <= known.keys()


def test_the_examples_write_something(tmp_path, monkeypatch):
    """Else the test above would hold for nothing."""
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "cache"))

    assert any(written_by(rule, example, tmp_path) for rule, example in EXAMPLES)


def test_the_mode_source_line_resolves():
    """Its functions exist, take these arguments, and what one gives the other takes."""
    calls = [node for node in ast.walk(ast.parse(MODE_SOURCE)) if isinstance(node, ast.Call)]
    functions = [resolve(ast.unparse(call.func)) for call in calls]

    for call, function in zip(calls, functions, strict=True):
        inspect.signature(function).bind(*call.args, **{each.arg: each for each in call.keywords})


def test_the_flags_give_the_limits_a_mode_source():
    """The two packages import neither each other nor a shared type; the shape is the contract."""
    import penstock_flags
    import penstock_limits

    with penstock_flags.open(environment="development", directory=ROOT / "feature_flags") as flags:
        penstock_limits.set_mode_source(flags)
        try:
            mode = penstock_limits.limiter("api_call").mode
        finally:
            penstock_limits.set_mode_source(None)

    assert mode in penstock_limits.Mode


def test_the_plan_names_flags_that_are_declared():
    """A phase opens what the flags' declaration knows, in the phase that it says."""
    declared = tomllib.loads((ROOT / "feature_flags/flags.toml").read_text())["flags"]

    assert {flag: each.number for each in phases() for flag in each.opens} == {
        flag: table["phase"] for flag, table in declared.items()
    }


def test_the_plan_names_the_rules_that_exist():
    """A phase mends rules of its own folder, and all those that offer a rewrite."""
    named = {name: each.number for each in phases() for name in each.rules}
    rewriting = {rule.name for rule in rules() if any(example.rewritten for example in rule.bad)}

    assert named.items() <= {rule.name: rule.phase for rule in rules()}.items()
    assert rewriting <= named.keys()


def test_the_plan_names_checks_that_exist():
    """And every check serves a criterion."""
    assert {check for each in phases() for criterion in each.criteria for check in criterion.checks} == set(_CHECKS)
