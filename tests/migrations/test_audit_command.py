"""The commands `audit` and `explain`: what they print, and the status they end with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.workers import WorkerError
from penstock_migrations._command_line import audit as audit_module
from penstock_migrations.commands import audit, explain

DEFECT = "import asyncio\n\nasync def run(xs):\n    await asyncio.gather(*[f(x) for x in xs])\n"
FINDING = {
    "code": str,
    "name": str,
    "issue": int,
    "phase": int,
    "path": str,
    "line": int,
    "end_line": int,
    "column": int,
    "function": str | None,
    "severity": str,
    "message": str,
    "fix": str,
    "fix_reason": str | None,
    "fingerprint": str,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with one defect and one file that does not parse."""
    (tmp_path / "one.py").write_text(DEFECT)
    (tmp_path / "bad.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(audit, [str(argument) for argument in arguments])


def test_prints_the_agreed_json(folder):
    """The object has exactly the agreed keys and types, and nothing else is printed."""
    result = run(".", "--format", "json")
    report = json.loads(result.stdout)
    (finding,) = report["findings"]

    assert list(report) == ["version", "files", "unreadable", "findings", "elapsed_seconds", "unused_ignores"]
    assert (report["version"], report["files"]) == (1, 1)
    assert [set(one) for one in report["unreadable"]] == [{"path", "reason"}]
    assert isinstance(report["elapsed_seconds"], float)
    assert list(finding) == list(FINDING)
    assert all(isinstance(finding[key], kind) for key, kind in FINDING.items())
    assert (finding["path"], finding["line"], finding["column"]) == ("one.py", 4, 11)


def test_prints_places_fixes_and_totals(folder):
    """The text says where, what, how it is mended, what was not audited, and how much there is."""
    said = run(".").stdout

    assert "one.py:4:11 PEN101 high: asyncio.gather starts" in said
    assert "fix: safe" in said
    assert "bad.py: not audited: does not parse" in said
    assert "1 finding (1 to be rewritten safely)" in said


def test_ends_with_the_agreed_status(folder):
    """0 is clean, 1 is findings, 2 is usage."""
    assert run(".").exit_code == 1
    assert run(".", "--ignore", "PEN101,2").exit_code == 0
    assert run("bad.py").exit_code == 0
    assert run("nowhere").exit_code == 2
    assert run().exit_code == 2


@pytest.mark.parametrize("chosen", ["PEN999", "9", "0", "", "gather"])
def test_refuses_what_is_neither_code_nor_issue(folder, chosen):
    """A wrong selector is a usage error that lists what is allowed."""
    result = run(".", "--select", chosen)

    assert result.exit_code == 2
    assert "PEN101" in result.stderr
    assert "1 to 8" in result.stderr


@pytest.mark.parametrize("chosen", ["1", "pen101", "1, PEN102,8"])
def test_takes_codes_and_issue_numbers(folder, chosen):
    """Codes in any case and issue numbers, separated by commas, choose."""
    assert run(".", "--select", chosen).exit_code == 1


def test_lets_options_go_before_the_settings_file(folder):
    """An option replaces what the file says; excluded globs add up."""
    (folder / "penstock.toml").write_text('[audit]\nselect = ["8"]\nexclude = ["bad.py"]\n')

    assert run(".").exit_code == 0
    assert run(".", "--select", "1").exit_code == 1
    assert run(".", "--select", "1", "--exclude", "one.py").stdout.startswith("0 files audited")


def test_says_what_is_wrong_with_the_settings_file(folder):
    """A wrong setting is a usage error with file, key, value and what is allowed."""
    (folder / "penstock.toml").write_text('[audit]\nseverity = "huge"\n')
    result = run(".")

    assert result.exit_code == 2
    assert all(word in result.stderr for word in ("penstock.toml", "severity", "huge", "high, medium, low"))


def test_says_that_a_process_of_the_audit_was_ended(folder, monkeypatch):
    """Not as findings: with status 2, and what may help."""

    def ended(*_arguments, **options):
        assert options["jobs"] == 3
        raise WorkerError

    monkeypatch.setattr(audit_module, "audit", ended)
    result = run(".", "--jobs", "3")

    assert result.exit_code == 2
    assert "--jobs 1" in result.stderr


def test_says_that_it_was_interrupted(folder, monkeypatch):
    """Ctrl-C ends the audit with a clear line and the shell's status for it."""

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_module, "audit", interrupted)
    result = run(".")

    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert "Traceback" not in result.stderr


def test_ends_cleanly_on_a_real_interrupt(folder):
    """A process that gets SIGINT in the middle of an audit says so and ends with 130."""
    for number in range(40):
        (folder / f"m{number}.py").write_text(DEFECT * 50)
    code = (
        "import os, signal, penstock_migrations._auditing.told as a\n"
        "real = a.read\n"
        "def read(file):\n"
        "    os.kill(os.getpid(), signal.SIGINT) if file.name == 'm7.py' else None\n"
        "    return real(file)\n"
        "a.read = read\n"
        "from penstock_migrations.commands import audit\n"
        "audit(['.'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ.copy())

    assert done.returncode == 130
    assert done.stderr.startswith("Interrupted")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.code)
def test_explains_a_rule_by_code_and_by_name(rule):
    """The documentation is shown for a code in any case, and for a name."""
    by_code = CliRunner().invoke(explain, [rule.code.lower()])
    by_name = CliRunner().invoke(explain, [rule.name])

    assert by_code.exit_code == by_name.exit_code == 0
    assert by_code.stdout == by_name.stdout
    assert all(word in by_code.stdout for word in (rule.code, "Why is this bad", "Fix safety"))


def test_lists_the_rules_when_it_does_not_know_one():
    """An unknown code is a usage error that lists the known ones."""
    result = CliRunner().invoke(explain, ["PEN999"])

    assert result.exit_code == 2
    assert all(rule.code in result.stderr for rule in rules())
