"""Decides how a task that nothing refers to gets an owner."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._fanout.fan_outs import FanOuts
from penstock_migrations._owning.swaps import Remark, Swap, Swaps
from penstock_migrations.rule import Fix

__all__ = ["task_swap"]

_CREATES = frozenset({"asyncio.create_task", "asyncio.tasks.create_task"})
_ANY = "ensure_future also takes futures, which run already: for a coroutine, call penstock_tasks.create_task"
_OF_LOOP = "a loop makes the task, maybe not the running one: if it is, call penstock_tasks.create_task"
_ELSEWHERE = "`{}` may be another's than asyncio's"
_MANY = "it is one of many that a loop makes (PEN102): limit their number first, then keep them until they are done"


def task_swap(module: Module, call: ast.Call) -> Swap:
    """Decide for one task."""
    return module.analysis(Swaps).swap(call, "create_task", _remarks(module, call))


def _remarks(module: Module, call: ast.Call) -> list[Remark]:
    if module.qualified(call.func) not in _CREATES:
        return [(Fix.NONE, _maker(call))]
    loops = module.analysis(FanOuts).task_loops
    if any(work.creation is call for fan_out in loops for work in fan_out.works):
        return [(Fix.NONE, _MANY)]
    return []


def _maker(call: ast.Call) -> str:
    if last_name(call.func) == "ensure_future":
        return _ANY
    if isinstance(call.func, ast.Attribute) and last_name(call.func.value).endswith("loop"):
        return _OF_LOOP
    return _ELSEWHERE.format(ast.unparse(call.func))
