"""Sites as JSON data, for the cache and for other processes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from penstock_migrations.rule import Fix, ReplaceCall, Rewrite, Severity, Site, UnwrapCall

__all__ = ["site_as_data", "site_of_data"]


def site_as_data(site: Site) -> dict[str, Any]:
    """Return a site as JSON data."""
    data = asdict(site)
    data["rewrites"] = [{"kind": type(one).__name__, **asdict(one)} for one in site.rewrites]
    return data


def site_of_data(data: dict[str, Any]) -> Site:
    """Return what `site_as_data` made into JSON data."""
    known = {
        "severity": Severity(data["severity"]),
        "fix": Fix(data["fix"]),
        "rewrites": tuple(map(_rewrite, data["rewrites"])),
        "callees": tuple(data["callees"]),
    }
    return Site(**(data | known))


def _rewrite(data: dict[str, Any]) -> Rewrite:
    if data["kind"] == UnwrapCall.__name__:
        return UnwrapCall(data["line"], data["column"])
    keywords = tuple((name, value) for name, value in data["keywords"])
    return ReplaceCall(data["line"], data["column"], data["callee"], keywords, data["module"], data["called"])
