"""The report as one JSON object, for programs; see docs/reference/findings.md."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from penstock_migrations._auditing.audit import Report
from penstock_migrations._reporting.context import Context

__all__ = ["as_json", "render"]

_HIDDEN = {"sha256", "rewrites"}


def render(report: Report, context: Context) -> str:
    """Return the report as a JSON document."""
    document = as_json(report)
    if context.trend is not None:
        document["baseline"] = {
            "file": str(context.baseline),
            "known": len(context.trend.known),
            "fixed": [dataclasses.asdict(entry) for entry in context.trend.fixed],
        }
    if context.since is not None:
        document["since"] = context.since
    return json.dumps(document, indent=2)


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as the object that is printed."""
    findings = [
        {field.name: getattr(finding, field.name) for field in dataclasses.fields(finding) if field.name not in _HIDDEN}
        for finding in report.findings
    ]
    return {
        "version": 1,
        "files": report.files,
        "unreadable": [dataclasses.asdict(one) for one in report.unreadable],
        "findings": findings,
        "elapsed_seconds": round(report.elapsed_seconds, 3),
        "unused_ignores": [dataclasses.asdict(one) for one in report.unused],
    }
