"""Names the operations of other modules that call a helper which opens something for each of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Known, Project
from penstock_migrations._connections.fixes import Decision
from penstock_migrations._connections.messages import listed
from penstock_migrations._connections.openings import Opening
from penstock_migrations.rule import Fix, Site

__all__ = ["asked_of", "name_callers"]

_TESTS = "it belongs to tests, whose databases come and go: a pool would keep them from being dropped"


def asked_of(module: Module, opening: Opening, decision: Decision | None = None) -> tuple[str, ...]:
    """Return the references of helpers that `name_callers` asks about.

    They are the helper whose callers are all in other modules, and those that a safe rewrite may reach others by.
    """
    if not opening.operations:
        return (f":{module.qualname(opening.function)}",)
    return tuple(f":{name}" for name in decision.helpers) if decision is not None and decision.fix is Fix.SAFE else ()


def name_callers(project: Project, file: Path, site: Site) -> Site:
    """Say in a site which functions of other audited files call its helper; what they do has to be looked at."""
    if site.rewrites and _is_of_tests(project.shown(file)):
        return dataclasses.replace(site, fix=Fix.NONE, fix_reason=_TESTS, rewrites=())
    callers = [one for helper in site.callees for one in project.callers(file, helper.removeprefix(":"))]
    if site.fix is Fix.SAFE:
        return _reviewed(site, [_shown(project, one) for one in callers if one.file != file])
    shown = dict.fromkeys(_shown(project, one) for one in callers if one.name)
    if not shown:
        return site
    what, _, remedy = site.message.partition("; ")
    return dataclasses.replace(site, message=f"{what}: {listed(tuple(shown))}; {remedy}")


def _reviewed(site: Site, others: list[str]) -> Site:
    """Leave to review what other files use, too."""
    if not others:
        return site
    names = listed(tuple(dict.fromkeys(others)))
    reason = f"other files use it, too: does {names} close it, and set nothing in it?"
    return dataclasses.replace(site, fix=Fix.REVIEW, fix_reason=reason)


def _shown(project: Project, known: Known) -> str:
    where = Path(project.shown(known.file)).name
    return f"{known.name} ({where})" if known.name else where


def _is_of_tests(shown: str) -> bool:
    path = Path(shown)
    return not {"test", "tests"}.isdisjoint(path.parts) or path.stem == "conftest" or path.stem.startswith("test_")
