"""Names the operations of other modules that call a helper which opens something for each of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Known, Project
from penstock_migrations._code.vocabulary import vocabulary, words
from penstock_migrations._connections.fixes import Decision
from penstock_migrations._connections.messages import listed
from penstock_migrations._connections.openings import Opening
from penstock_migrations.rule import Fix, Site

__all__ = ["asked_of", "name_callers"]

_USED = "other files use it, too: does {} close it, and set nothing in it?"
_LOOPS = "an event loop of its own may run it each time: does {} make one? A pool serves one loop"
_LOOP = re.compile(rb"\brun_until_complete\b|\b(asyncio|anyio|uvloop|trio)\.run\b|\basync_to_sync\b")
_MAIN = vocabulary("main cli command")
_DEEP = 4
_TESTS = "it belongs to tests, whose databases come and go: a pool would keep them from being dropped"


def asked_of(module: Module, opening: Opening, decision: Decision | None = None) -> tuple[str, ...]:
    """Return the references of functions that `name_callers` asks about.

    They are the helper whose callers are all in other modules, and those that a safe rewrite may reach others by; after
    `~`, the operations that an event loop of their own may run.
    """
    if not opening.operations:
        return (f":{module.qualname(opening.function)}",)
    if decision is None or decision.fix is not Fix.SAFE:
        return ()
    operations = opening.operations if decision.is_of_loop else ()
    return (*(f":{name}" for name in decision.helpers), *(f"~{name}" for name in operations))


def name_callers(project: Project, file: Path, site: Site) -> Site:
    """Say in a site which functions of other files call its helper; what they do has to be looked at."""
    if site.rewrites and _is_of_tests(project.shown(file)):
        return dataclasses.replace(site, fix=Fix.NONE, fix_reason=_TESTS, rewrites=())
    helpers = [one[1:] for one in site.callees if one.startswith(":")]
    callers = [one for helper in helpers for one in project.callers(file, helper)]
    if site.fix is Fix.SAFE:
        operations = [one[1:] for one in site.callees if one.startswith("~")]
        return _reviewed(project, file, site, helpers, callers, operations)
    shown = dict.fromkeys(_shown(project, one) for one in callers if one.name)
    if not shown:
        return site
    what, _, remedy = site.message.partition("; ")
    return dataclasses.replace(site, message=f"{what}: {listed(tuple(shown))}; {remedy}")


def _reviewed(
    project: Project, file: Path, site: Site, helpers: list[str], callers: list[Known], operations: list[str]
) -> Site:
    """Leave to review what other files use, too, and what may run in an event loop of its own there."""
    others = [_shown(project, one) for one in callers if one.file != file and not _is_of_tests(project.shown(one.file))]
    others += [one.name for helper in helpers for one in project.mentioning(file, _call_of(helper)) if _is_own(one)]
    if others:
        return _left(site, _USED.format(listed(tuple(dict.fromkeys(others)))))
    loops = [_shown(project, one) for name in operations for one in _running(project, file, name, _DEEP)]
    for name in operations:
        found = project.mentioning(file, _call_of(name))
        loops += [one.name for one in found if _is_own(one) and _LOOP.search(one.read_bytes())]
    return _left(site, _LOOPS.format(listed(tuple(dict.fromkeys(loops))))) if loops else site


def _left(site: Site, reason: str) -> Site:
    return dataclasses.replace(site, fix=Fix.REVIEW, fix_reason=reason)


def _running(project: Project, file: Path, name: str, deep: int) -> Iterator[Known]:
    """Yield the blocking functions of other files that call a coroutine function: they may make a loop for it."""
    for caller in project.callers(file, name) if deep else ():
        if caller.facts.is_async or caller.file == file:
            yield from _running(project, caller.file, caller.name, deep - 1)
        elif _is_of_tests(project.shown(caller.file)):
            continue
        elif _MAIN.isdisjoint(words(caller.name.rpartition(".")[2])) and caller.name:
            yield caller


def _call_of(name: str) -> re.Pattern[bytes]:
    """Return what finds the use of a function in a text: a method's is a call of something."""
    owner, _, last = name.rpartition(".")
    return re.compile((rf"\.{last}\s*\(" if owner else rf"\b{last}\b").encode())


def _shown(project: Project, known: Known) -> str:
    where = Path(project.shown(known.file)).name
    return f"{known.name} ({where})" if known.name else where


def _is_own(file: Path) -> bool:
    """Say whether a file is no test: what tests do is seen when they are run."""
    return not _is_of_tests(file.as_posix() if file.parent.name in ("test", "tests") else file.name)


def _is_of_tests(shown: str) -> bool:
    path = Path(shown)
    return not {"test", "tests"}.isdisjoint(path.parts) or path.stem == "conftest" or path.stem.startswith("test_")
