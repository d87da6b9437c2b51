"""Decides how a fan-out is mended: safely, after review, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._fanout import FanOut, FanOuts
from penstock_migrations._messages import severity_of
from penstock_migrations._reaching import last_name, own_nodes, start_of
from penstock_migrations._vocabulary import words
from penstock_migrations._work import GATHERS, Kind
from penstock_migrations.rule import Fix, ReplaceCall, Rewrite, Severity, UnwrapCall

__all__ = ["ENDLESS_WORK", "gather_fix"]

ENDLESS_WORK = "the work may never end or waits for its peers: bounded, the rest might never start"
_REACTIONS = (["on"], ["handle"])


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
    doubt = _doubt(fan_out)
    return (Fix.SAFE if doubt is None else Fix.REVIEW), doubt, rewrites


def _obstacle(found: FanOuts, fan_out: FanOut) -> str | None:
    """Say why a gather must not be rewritten."""
    if any(name.startswith("temporalio") for name in found.module.imports.values()):
        return "code of a Temporal workflow may use asyncio's own primitives only"
    if any(work.creation is fan_out.call for work in fan_out.works):
        return "some of what is gathered is limited and some is not"
    if found.module.qualified(fan_out.call.func) not in GATHERS:
        return "the call shows its progress: hand it coroutines that hold a limiter"
    if any(keyword.arg != "return_exceptions" for keyword in fan_out.call.keywords):
        return "the call has keyword arguments that cannot be seen or do not exist on supported Pythons"
    for work in fan_out.works:
        if work.endless:
            return ENDLESS_WORK
        if work.kind is Kind.FUTURE:
            return "what is gathered runs already when gather sees it: gather the coroutines themselves first"
        if work.creation is not None and (reason := _task_obstacle(found, fan_out, work.creation)) is not None:
            return reason
    return None


def _doubt(fan_out: FanOut) -> str | None:
    """Say what to look at before a rewrite."""
    if any(work.kind is Kind.UNKNOWN for work in fan_out.works):
        return "the callers decide what is gathered: tasks they have already started are not limited here"
    if len(fan_out.call.args) > 1 and any(not isinstance(one, ast.Starred) for one in fan_out.call.args):
        return "what is gathered side by side may wait for each other"
    if severity_of(fan_out) is Severity.LOW:
        return "the number follows from what was set up before: is that bounded, or is it data?"
    if any(work.call is not None and words(last_name(work.call.func))[:1] in _REACTIONS for work in fan_out.works):
        return "handlers may wait for each other's messages: then all of them must start"
    return None


def _task_obstacle(found: FanOuts, fan_out: FanOut, creation: ast.Call) -> str | None:
    """Say why the creation of a task cannot be left to gather."""
    module = found.module
    if len(creation.args) != 1 or creation.keywords or not isinstance(creation.args[0], ast.Call):
        return "the tasks are made with more than a coroutine, and run already when gather sees them"
    function = module.function(fan_out.call)
    if function is None or module.function(creation) is not function:
        return "the tasks are made in another function, and run already when gather sees them"
    if _used_otherwise(found, fan_out.call, creation):
        return "the tasks are used besides being gathered, and run already when gather sees them"
    if _is_awaited_between(found, function, creation, fan_out.call):
        return "the function waits for something else while the tasks run already"
    return None


def _used_otherwise(found: FanOuts, gather: ast.Call, creation: ast.Call) -> bool:
    """Say whether anything but the gather reads a name that holds the tasks."""
    module = found.module
    holders = _holders(found, creation)
    if holders is None:
        return True
    for name in holders:
        _, bindings = module.bindings(name, creation)
        grown = {binding.node for binding in bindings}
        for node in own_nodes(module.function(creation) or module.tree):
            if not (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)):
                continue
            if not (module.contains(gather, node) or any(module.contains(growth, node) for growth in grown)):
                return True
    return False


def _holders(found: FanOuts, creation: ast.Call) -> list[str] | None:
    """Return the names that hold a task on its way to the gather; None if they cannot be told."""
    module = found.module
    match module.statement(creation):
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            pass
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "add"))):
            return [name]
        case ast.AugAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Expr() | ast.Return() | ast.For() | ast.Assign() | ast.AnnAssign():
            return []
        case _:
            return None
    further = [
        call.func.value.id
        for call in module.calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"append", "add"}
        and isinstance(call.func.value, ast.Name)
        and any(isinstance(argument, ast.Name) and argument.id == name for argument in call.args)
        and module.function(call) is module.function(creation)
    ]
    return [name, *further]


def _is_awaited_between(found: FanOuts, function: ast.AST, creation: ast.Call, gather: ast.Call) -> bool:
    module = found.module
    loops = [node for node in module.ancestors(creation) if isinstance(node, ast.For | ast.AsyncFor | ast.While)]
    loops = [loop for loop in loops if not module.contains(loop, gather)]
    start, end = start_of(creation), start_of(gather)
    for node in _suspensions(function):
        if module.contains(node, gather) or module.contains(creation, node):
            continue
        if start < start_of(node) < end or any(module.contains(loop, node) for loop in loops):
            return True
    return False


def _suspensions(function: ast.AST) -> Iterator[ast.AST]:
    kinds = ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Yield | ast.YieldFrom
    return (node for node in own_nodes(function) if isinstance(node, kinds))
