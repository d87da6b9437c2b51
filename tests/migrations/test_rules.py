"""Every rule keeps what its documentation and its examples promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.rewrite import rewrite
from penstock_migrations.rule import Example, Fix, Rule

BAD = [pytest.param(rule, example, id=f"{rule.code} {example.title}") for rule in rules() for example in rule.bad]
GOOD = [pytest.param(rule, example, id=f"{rule.code} {example.title}") for rule in rules() for example in rule.good]
HEADINGS = ["What it does", "Why is this bad", "Example", "Use instead", "Fix safety"]


def findings(folder: Path, source: str, rule: Rule):
    """Audit an example for the defects of a rule's issue: the others are not what it shows."""
    (folder / "example.py").write_text(source, encoding="utf-8")
    return audit([folder], Settings(select=(str(rule.issue),))).findings


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_finds_what_is_bad(rule: Rule, example: Example, tmp_path: Path):
    """A BAD example has exactly one finding, of its own rule: no other of its issue reports the same defect."""
    found = findings(tmp_path, example.source, rule)

    assert [one.code for one in found] == [rule.code]


@pytest.mark.parametrize(("rule", "example"), GOOD)
def test_leaves_what_is_good_alone(rule: Rule, example: Example, tmp_path: Path):
    """A GOOD example has no finding of the rule's issue."""
    assert not findings(tmp_path, example.source, rule)


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_shows_what_the_codemod_makes_of_it(rule: Rule, example: Example, tmp_path: Path):
    """An example with a safe fix is shown rewritten exactly as the codemod does it, and another is not."""
    (found,) = findings(tmp_path, example.source, rule)
    result = rewrite(example.source.encode(), [found] if found.fix is Fix.SAFE else [])

    assert result.source.decode() == (example.rewritten or example.source)
    assert (example.rewritten is None) == (found.fix is not Fix.SAFE)


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_finds_nothing_more_in_what_was_rewritten(rule: Rule, example: Example, tmp_path: Path):
    """What the codemod wrote is clean."""
    assert example.rewritten is None or not findings(tmp_path, example.rewritten, rule)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.code)
def test_explains_itself_under_fixed_headings(rule: Rule):
    """A rule's docstring is its documentation: one line, then the same headings in the same order."""
    assert re.findall(r"^## (.+)$", rule.documentation, re.MULTILINE) == HEADINGS
    assert rule.documentation.splitlines()[0].endswith(".")


def test_has_codes_that_say_the_issue_and_names_that_are_files():
    """A code is PEN, the digit of the RFC's issue and two digits; code and name are each given once."""
    assert all(re.fullmatch(r"PEN[1-8]\d\d", rule.code) for rule in rules())
    assert len({rule.code for rule in rules()}) == len({rule.name for rule in rules()}) == len(rules())
    assert all(1 <= rule.phase <= 4 for rule in rules())
