"""Decides how a loop of tasks is mended: they stay, and are made by a `create_task` that has a limit."""

from __future__ import annotations

import ast

from penstock_migrations._code.endings import ENDLESS_WORK, Ending
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.sizes import Size
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import words
from penstock_migrations._fanout.fan_outs import FanOut, FanOuts
from penstock_migrations._fanout.fixes import TEMPORAL, is_temporal, work_doubt
from penstock_migrations._fanout.task_uses import TaskUses
from penstock_migrations._fanout.work import CREATES, WAITS, Kind, Work
from penstock_migrations.rule import Fix, ReplaceCall, Rewrite

__all__ = ["task_fix"]

_OPTIONS = frozenset({"name", "context"})
_SHARED = frozenset({"Queue", "PriorityQueue", "LifoQueue", "Event", "Condition", "Barrier", "Future", "create_future"})


def task_fix(found: FanOuts, fan_out: FanOut, limit: str) -> tuple[Fix, str | None, tuple[Rewrite, ...]]:
    """Return how a loop of tasks is mended, why not or what to look at, and the rewrites."""
    uses = [TaskUses(found.module, work.creation) for work in fan_out.works if work.creation is not None]
    if (reason := _obstacle(found, fan_out, uses)) is not None:
        return Fix.NONE, reason, ()
    creations = dict.fromkeys(work.creation for work in fan_out.works if work.creation is not None)
    rewrites = tuple(
        ReplaceCall(
            one.lineno, found.module.character_column(one), "penstock_limits.create_task", (("limit", f'"{limit}"'),)
        )
        for one in creations
    )
    doubt = _doubt(found, fan_out, uses)
    return (Fix.SAFE if doubt is None else Fix.REVIEW), doubt, rewrites


def _obstacle(found: FanOuts, fan_out: FanOut, uses: list[TaskUses]) -> str | None:
    """Say why the tasks must not be made otherwise."""
    if is_temporal(found.module):
        return TEMPORAL
    for work in fan_out.works:
        if work.ending is Ending.NEVER:
            return ENDLESS_WORK
        if (reason := _other_maker(found, fan_out, work)) is not None:
            return reason
        if work.size is Size.ARRIVALS:
            return "each turn of an endless loop makes one: where all tasks are busy, should it wait, or refuse?"
    siblings = frozenset(name for one in uses for name in one.kept_in)
    if any(_refers_to(found, work, siblings) for work in fan_out.works):
        return "the work refers to the other tasks: what waits for one that is not admitted would hold its place"
    return None


def _other_maker(found: FanOuts, fan_out: FanOut, work: Work) -> str | None:
    """Say why a work cannot be started by `create_task` with a limit."""
    creation = work.creation
    if creation is None:
        if work.kind is Kind.UNKNOWN:
            return "the callers decide what is waited for: limit it where it is made"
        return f"no tasks are made before {last_name(fan_out.call.func)}: use bounded_map(..., ordered=False)"
    if found.module.qualified(creation.func) not in CREATES:
        return _maker(creation)
    if len(creation.args) != 1 or {keyword.arg for keyword in creation.keywords} - _OPTIONS:
        return "create_task has arguments that cannot be seen or do not exist on supported Pythons"
    return "it cannot be seen which coroutine the tasks run" if work.call is None else None


def _maker(creation: ast.Call) -> str:
    maker = last_name(creation.func)
    if maker == "ensure_future":
        return "ensure_future also takes futures, which run already: make the tasks by penstock_limits.create_task"
    if isinstance(creation.func, ast.Attribute) and last_name(creation.func.value) == "penstock_tasks":
        return "the tasks have an owner that a limit would take away: hold a Limiter in each, or use bounded_map"
    if isinstance(creation.func, ast.Attribute) and "loop" in words(last_name(creation.func.value)):
        return "a loop makes the tasks, maybe not the running one: if it is, use penstock_limits.create_task"
    return "a task group makes the tasks: hold a Limiter in each, or use bounded_map"


def _refers_to(found: FanOuts, work: Work, siblings: frozenset[str]) -> bool:
    """Say whether a work is given what keeps the tasks, or reads it."""
    assert work.call is not None
    given = [part for argument in (*work.call.args, *work.call.keywords) for part in walk(argument)]
    read = [part for function in found.works.names.functions(work.call) for part in walk(function)]
    return any(isinstance(part, ast.Name | ast.Attribute) and ast.unparse(part) in siblings for part in given + read)


def _doubt(found: FanOuts, fan_out: FanOut, uses: list[TaskUses]) -> str | None:
    """Say what to look at before a rewrite."""
    if (reason := _timing(found, fan_out) or work_doubt(found, fan_out)) is not None:
        return reason
    for one in uses:
        if (reason := one.doubt()) is not None:
            return reason
    creations = {work.creation for work in fan_out.works}
    function = uses[0].function
    others = [node for node in own_nodes(function) if isinstance(node, ast.Call) and found.works.is_spawn(node)]
    if any(other not in creations for other in others):
        return "the function makes other tasks, and they may wait for each other"
    for work in fan_out.works:
        if (reason := _work_doubt(found, work, waited_for=all(one.is_waited_for for one in uses))) is not None:
            return reason
    return None


def _timing(found: FanOuts, fan_out: FanOut) -> str | None:
    """Say what a wait for some of the tasks, or for some time, would notice."""
    for call in (node for node in own_nodes(TaskUses.place(found.module, fan_out.call)) if isinstance(node, ast.Call)):
        made = any(work.creation is not None and found.module.contains(work.creation, call) for work in fan_out.works)
        if found.module.qualified(call.func) == "asyncio.wait_for" and not made:
            return "the wait has a timeout: the tasks that have not started by then count too"
        if found.module.qualified(call.func) not in WAITS:
            continue
        for keyword in call.keywords:
            if keyword.arg == "return_when" and "ALL_COMPLETED" not in ast.unparse(keyword.value):
                return "the function goes on with the first that end: may the rest not have started then?"
            if keyword.arg != "return_when":
                return "the wait has a timeout: the tasks that have not started by then count too"
    return None


def _work_doubt(found: FanOuts, work: Work, *, waited_for: bool) -> str | None:
    assert work.call is not None
    functions = found.works.names.functions(work.call)
    if not functions and not waited_for:
        return "nothing here waits for the tasks, and it cannot be seen that they end: each keeps its place until then"
    handed = (*work.call.args, *(keyword.value for keyword in work.call.keywords))
    if any(last_name(value) in _SHARED for argument in handed for value in found.works.names.values(argument)):
        return "the tasks share a queue, an event or a future: if they wait for each other, all of them must start"
    nodes = [node for function in functions for node in own_nodes(function)]
    if any(isinstance(node, ast.Call) and _asks_for_task(found, node) for node in nodes):
        return "the work asks for the current task: is that meant to be the one that was returned?"
    return None


def _asks_for_task(found: FanOuts, call: ast.Call) -> bool:
    return (found.module.qualified(call.func) or "").endswith("current_task")
