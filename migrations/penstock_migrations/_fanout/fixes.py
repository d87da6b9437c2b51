"""Decides how a fan-out is mended: safely, after review, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.endings import ENDLESS_WORK, WAITING_WORK, Ending
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import words
from penstock_migrations._fanout.fan_outs import FanOut, FanOuts
from penstock_migrations._fanout.holders import is_annotated_as_task
from penstock_migrations._fanout.messages import severity_of
from penstock_migrations._fanout.unwrapping import task_doubt, task_obstacle
from penstock_migrations._fanout.work import GATHERS, Kind
from penstock_migrations.rule import Fix, ReplaceCall, Rewrite, Severity, UnwrapCall

__all__ = ["TEMPORAL", "gather_fix", "is_temporal", "work_doubt"]

TEMPORAL = "code of a Temporal workflow may use asyncio's own primitives only"
_CALLERS_DEEP = 3
_REACTIONS = (("on",), ("handle",))


def gather_fix(found: FanOuts, fan_out: FanOut, limit: str) -> tuple[Fix, str | None, tuple[Rewrite, ...]]:
    """Return how a gather is mended, why not or what to look at, and the rewrites."""
    if (reason := _obstacle(found, fan_out)) is not None:
        return Fix.NONE, reason, ()
    place = (fan_out.call.lineno, found.module.character_column(fan_out.call))
    unwraps: list[Rewrite] = [
        UnwrapCall(work.creation.lineno, found.module.character_column(work.creation))
        for work in fan_out.works
        if work.creation is not None
    ]
    replacement = ReplaceCall(*place, "penstock_limits.gather", (("limit", f'"{limit}"'),))
    rewrites = tuple(dict.fromkeys([*unwraps, replacement]))
    doubt = _doubt(found, fan_out)
    return (Fix.SAFE if doubt is None else Fix.REVIEW), doubt, rewrites


def _obstacle(found: FanOuts, fan_out: FanOut) -> str | None:
    """Say why a gather must not be rewritten."""
    if is_temporal(found.module):
        return TEMPORAL
    if not found.module.is_certain(fan_out.call.func):
        return f"`{ast.unparse(fan_out.call.func)}` may stand for something else here"
    if any(work.creation is fan_out.call for work in fan_out.works):
        return "some of what is gathered is limited and some is not"
    if found.module.qualified(fan_out.call.func) not in GATHERS:
        return "the call is not asyncio's: hand it coroutines that hold a limiter, or use bounded_map"
    if any(keyword.arg != "return_exceptions" for keyword in fan_out.call.keywords):
        return "the call has keyword arguments that cannot be seen or do not exist on supported Pythons"
    creations = [work.creation for work in fan_out.works if work.creation is not None]
    for work in fan_out.works:
        if work.ending is Ending.NEVER:
            return ENDLESS_WORK
        if work.kind is Kind.FUTURE:
            return "what is gathered runs already when gather sees it: gather the coroutines themselves first"
        if (
            work.creation is not None
            and (reason := task_obstacle(found.works.names, fan_out.call, work.creation, creations)) is not None
        ):
            return reason
    return None


def _doubt(found: FanOuts, fan_out: FanOut) -> str | None:
    """Say what to look at before a rewrite."""
    if any(work.creation is not None and is_annotated_as_task(found.module, work.creation) for work in fan_out.works):
        return "an annotation says that tasks are held, and coroutines will be"
    if any(work.kind is Kind.UNKNOWN for work in fan_out.works):
        return "the callers decide what is gathered: tasks they have already started are not limited here"
    if len(fan_out.call.args) > 1 or fan_out.is_unlike:
        return "what is gathered side by side may wait for each other"
    creations = [work.creation for work in fan_out.works if work.creation is not None]
    for creation in creations:
        if (reason := task_doubt(found.works.names, fan_out.call, creation, creations)) is not None:
            return reason
    return work_doubt(found, fan_out)


def is_temporal(module: Module) -> bool:
    """Say whether a module has to do with Temporal, whose workflows run in a sandbox."""
    return any(name.startswith("temporalio") for name in module.imports.values())


def work_doubt(found: FanOuts, fan_out: FanOut) -> str | None:
    """Say what to look at in the work before it is bounded, whoever starts it."""
    if any(work.ending is Ending.OTHERS for work in fan_out.works):
        return WAITING_WORK
    if any(found.limits.holds_lock(node) for node in _under(found, fan_out.call)):
        return "it waits under a lock: work that holds a place of the limit must not wait for that lock"
    if severity_of(fan_out) is Severity.LOW:
        return "the number follows from what was set up before: is that bounded, or is it data?"
    if any(work.call is not None and words(last_name(work.call.func))[:1] in _REACTIONS for work in fan_out.works):
        return "handlers may wait for each other's messages: then all of them must start"
    return None


def _under(found: FanOuts, call: ast.Call, deep: int = _CALLERS_DEEP) -> Iterator[ast.AST]:
    """Yield what a call is made in: the blocks around it, and around the calls of its function in this module."""
    yield from found.module.ancestors(call)
    function = found.module.function(call)
    for caller in found.module.calls_of(function.name) if function is not None and deep else ():
        if function in found.works.names.functions(caller):
            yield from _under(found, caller, deep - 1)
