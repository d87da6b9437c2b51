"""The report as SARIF 2.1.0, which code scanning and editors read."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock_migrations._auditing.audit import Report
from penstock_migrations._auditing.rules import rules
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.words import ISSUES, remedy, unused
from penstock_migrations.rule import Finding, Rule, Severity

__all__ = ["render"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}
_BASE = "%SRCROOT%"


def render(report: Report, context: Context) -> str:
    """Return the report as a SARIF log."""
    indices = {rule.code: index for index, rule in enumerate(rules())}
    run = {
        "tool": {"driver": _driver()},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_BASE: {"uri": f"{Path.cwd().as_uri().rstrip('/')}/"}},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _notifications(report, context)}],
        "results": [_result(finding, indices[finding.code], context) for finding in report.findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _driver() -> dict[str, Any]:
    return {
        "name": "penstock",
        "semanticVersion": version("penstock-migrations"),
        "rules": [_rule(rule) for rule in rules()],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    first, _, rest = rule.documentation.partition("\n")
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": first},
        "fullDescription": {"text": first},
        "help": {"text": rest.strip() or first, "markdown": rest.strip() or first},
        "properties": {
            "tags": ["concurrency", ISSUES[rule.issue]],
            "issue": rule.issue,
            "phase": rule.phase,
        },
    }


def _result(finding: Finding, index: int, context: Context) -> dict[str, Any]:
    region: dict[str, Any] = {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
    }
    line = context.sources.line(finding)
    if line is not None and finding.end_line == finding.line:
        region["snippet"] = {"text": line[finding.column - 1 :]}
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": _artifact(finding.path, context)}}
    location["physicalLocation"]["region"] = region
    if finding.function is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.function, "kind": "function"}]
    result = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}\n{remedy(finding)}"},
        "locations": [location],
        "partialFingerprints": {"penstock/v1": finding.fingerprint},
        "properties": {"severity": finding.severity, "fix": finding.fix},
    }
    return result if context.trend is None else result | {"baselineState": "new"}


def _notifications(report: Report, context: Context) -> list[dict[str, Any]]:
    unread = [
        _notification("error", f"not audited: {one.reason}", one.path, None, context) for one in report.unreadable
    ]
    return unread + [_notification("note", unused(each), each.path, each.line, context) for each in report.unused]


def _notification(level: str, text: str, path: str, line: int | None, context: Context) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(path, context)}
    if line is not None:
        physical["region"] = {"startLine": line}
    return {"level": level, "message": {"text": text}, "locations": [{"physicalLocation": physical}]}


def _artifact(path: str, context: Context) -> dict[str, str]:
    """Return where a file is: relative to the working directory where it can be, else by its whole path."""
    file = context.sources.file(path)
    if file is not None and not file.absolute().is_relative_to(Path.cwd()):
        return {"uri": file.absolute().as_uri()}
    return {"uri": quote(os.fsencode(path)), "uriBaseId": _BASE}
