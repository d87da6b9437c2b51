"""Makes sites of what was found across files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._blocking.chains import Found, chains
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Severity, Site

__all__ = ["blocking_sites", "site"]

_SURE = 4  # functions on the way; in a longer one, some condition may well rule the end out


def blocking_sites(
    project: Project, code: str, kinds: tuple[str, ...], advice: str, reason: str
) -> Iterator[tuple[Path, Site]]:
    """Yield the calls in coroutines that come to block by some kinds of blocking."""
    for found in chains(project).blocking:
        if found.chain.kind in kinds:
            way = f"{found.caller.name.rpartition('.')[2]} -> {found.chain.text}"
            is_sure = len(found.chain.steps) <= _SURE and not found.chain.once
            severity = Severity.MEDIUM if is_sure else Severity.LOW
            yield found.caller.file, site(found, code, f"the event loop waits for {way}; {advice}", reason, severity)


def site(found: Found, code: str, message: str, reason: str, severity: Severity) -> Site:
    """Return a finding's site."""
    call = found.call
    return Site(
        code=code,
        line=call.line,
        end_line=call.end_line,
        column=call.column,
        first_line=call.line,
        function=found.caller.name or None,
        severity=severity,
        message=message,
        text=f"{call.reference.lstrip(':.')}()",
        fix_reason=reason,
    )
