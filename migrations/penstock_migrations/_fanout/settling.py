"""Asks other modules about the work of a fan-out: whether it takes a limiter there, and whether it may never end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from penstock_migrations._code.endings import ENDLESS_WORK, WAITING_WORK, Ending
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Fix, Severity, Site

__all__ = ["settle_fan_out"]


def settle_fan_out(project: Project, file: Path, site: Site) -> Site | None:
    """Drop what is limited elsewhere; take what never ends for advice, and look at what waits for others."""
    if project.limits(file, site.callees):
        return None
    ending = project.ending(file, site.callees)
    if ending is Ending.NEVER:
        return dataclasses.replace(site, severity=Severity.LOW, fix=Fix.NONE, fix_reason=ENDLESS_WORK, rewrites=())
    if ending is Ending.OTHERS and site.fix is Fix.SAFE:
        return dataclasses.replace(site, fix=Fix.REVIEW, fix_reason=WAITING_WORK)
    return site
