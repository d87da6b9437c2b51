"""Names the operations of other modules that call a helper which opens something for each of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Project
from penstock_migrations._connections.messages import listed
from penstock_migrations._connections.openings import Opening
from penstock_migrations.rule import Site

__all__ = ["asked_of", "name_callers"]


def asked_of(module: Module, opening: Opening) -> tuple[str, ...]:
    """Return the reference of a helper whose callers are in other modules, for `name_callers`."""
    return () if opening.operations else (f":{module.qualname(opening.function)}",)


def name_callers(project: Project, file: Path, site: Site) -> Site:
    """Say in a site's message which functions of the audited files call its helper."""
    callers = [one for helper in site.callees for one in project.callers(file, helper.removeprefix(":"))]
    shown = dict.fromkeys(f"{one.name} ({Path(project.shown(one.file)).name})" for one in callers if one.name)
    if not shown:
        return site
    what, _, remedy = site.message.partition("; ")
    return dataclasses.replace(site, message=f"{what}: {listed(tuple(shown))}; {remedy}")
