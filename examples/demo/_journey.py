"""The way of a project through phase 1, by the commands that everybody uses."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.demo._by_hand import mend, watch
from examples.demo._checks import Check
from examples.demo._processes import Done
from examples.demo._programs import ProgramError, penstock
from examples.demo._screen import Screen

__all__ = ["migrate"]

TESTS = f"{sys.executable} -m pytest -q"
ISSUES = "1,2,3"  # what phase 1 rewrites: fan-outs, connections for each operation, threads without an owner


async def migrate(project: Path, screen: Screen) -> list[Check]:
    """Take a project through audit, codemod, verify and gate, and show each step.

    Args:
        project: A copy; it is rewritten.
        screen: Where to show it.

    Returns:
        What is claimed about the way.
    """
    checks, left = await _audit_and_rewrite(project, screen)
    checks.append(await _gate_without_evidence(project, screen))
    if left:
        checks.append(await _mend_by_hand(project, screen))
    checks.append(await _watch_by_hand(project, screen))
    return checks + await _verify_and_gate(project, screen)


async def _audit_and_rewrite(project: Path, screen: Screen) -> tuple[list[Check], int]:
    with screen.step("Audit", f"penstock audit . --select {ISSUES}"):
        audited = await penstock(project, "audit", ".", "--select", ISSUES, "--format", "json")
    before = _findings(audited)
    screen.findings(before)
    with screen.step("Codemod: the diff", f"penstock codemod . --select {ISSUES}"):
        shown = await penstock(project, "codemod", ".", "--select", ISSUES)
    screen.diff(shown.output)
    with screen.step("Codemod: written", f"penstock codemod . --select {ISSUES} --write"):
        written = await penstock(project, "codemod", ".", "--select", ISSUES, "--write")
    screen.lines(written.output)
    again = await penstock(project, "codemod", ".", "--select", ISSUES)
    left = _findings(await penstock(project, "audit", ".", "--select", ISSUES, "--format", "json"))
    safe = [each for each in before if each["fix"] == "safe"]
    unsafe = [each["code"] + " " + each["path"] for each in before if each["fix"] != "safe"]
    checks = [
        Check(
            "The audit finds unbounded fan-outs, the connection for each operation, threads without an owner",
            audited.status == 1 and bool(safe) and {each["issue"] for each in before} == {1, 2, 3},
            f"{len(before)} found, {len(safe)} of them safe to rewrite",
        ),
        Check(
            "The codemod mends what is safe and leaves the rest",
            written.status == (1 if unsafe else 0) and [each["code"] + " " + each["path"] for each in left] == unsafe,
            f"{len(before) - len(left)} mended, {len(left)} left: {', '.join(unsafe) or 'nothing'}",
        ),
        Check("A second run changes nothing", "@@" not in again.output, f"{again.output.count('@@ -')} hunks"),
    ]
    return checks, len(left)


async def _gate_without_evidence(project: Path, screen: Screen) -> Check:
    with screen.step("Gate, too early", "penstock gate ."):
        gate = await penstock(project, "gate", ".")
    screen.lines(_last_line(gate))
    return Check("The gate stays shut without evidence", gate.status in (1, 3), _last_line(gate))


async def _mend_by_hand(project: Path, screen: Screen) -> Check:
    with screen.step("By hand", "$EDITOR scripts/stress_test.py"):
        changed = mend(project)
        audited = await penstock(project, "audit", ".", "--select", ISSUES, "--format", "json")
    screen.diff(changed)
    found = len(_findings(audited))
    return Check("Mended by hand, the audit is clean", audited.status == 0 and found == 0, f"{found} left")


async def _watch_by_hand(project: Path, screen: Screen) -> Check:
    with screen.step("By hand, a monitor", "$EDITOR agents/main.py pyproject.toml"):
        said_before = await _said_of(project, "monitor-started")
        changed = watch(project)
        said_after = await _said_of(project, "monitor-started")
    screen.diff(changed)
    opened = said_before.startswith("inconclusive") and said_after.startswith("pass")
    return Check("The gate asks for a monitor, and sees it once it is there", opened, said_after)


async def _said_of(project: Path, check: str) -> str:
    gate = await penstock(project, "gate", ".")
    return next((" ".join(line.split()) for line in gate.output.splitlines() if f" {check}: " in line), "nothing")


async def _verify_and_gate(project: Path, screen: Screen) -> list[Check]:
    with screen.step(
        "Verify: the agents' own tests, off, enforced, and under the guard",
        'penstock verify . --test-command "pytest -q"',
    ):
        verified = await penstock(project, "verify", ".", "--test-command", TESTS)
    screen.lines(verified.output + verified.errors)
    with screen.step("Gate", "penstock gate ."):
        gate = await penstock(project, "gate", ".")
    screen.lines(gate.output + gate.errors)
    passing = verified.output.count("the tests pass")
    return [
        Check("The agents' own tests pass, off and enforced", verified.status == 0, f"{passing} of 2 runs pass"),
        Check("The gate of phase 1 opens", gate.status == 0, _last_line(gate)),
    ]


def _findings(audited: Done) -> list[Mapping[str, Any]]:
    if audited.status not in (0, 1):
        raise ProgramError(f"penstock audit ended with status {audited.status}:\n{audited.errors}")
    findings: list[Mapping[str, Any]] = json.loads(audited.output)["findings"]
    return findings


def _last_line(done: Done) -> str:
    lines = (done.output.strip() or done.errors.strip() or "no output").splitlines()
    return " ".join(lines[-1].split())
