"""Decides how an executor that nothing shuts down gets an owner."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._owning.swaps import Remark, Swap, Swaps
from penstock_migrations._threads.owners import LostExecutor, Owners
from penstock_migrations._threads.places import Place, meet
from penstock_migrations.rule import Fix

__all__ = ["executor_swap"]

_NO_DROP_IN = "there is no drop-in for {}: shut it down where its owner ends, or share one and shut that down"
_CANCELLED = "what is queued at exit runs to its end; enforced, it is cancelled: is all of it waited for?"
_SUBMITTING = frozenset({"submit", "map"})
_WAITS = frozenset({"result", "exception"})
_TOGETHER = frozenset({"gather", "wait", "wait_for", "as_completed", "shield", "wrap_future", "list", "tuple", "dict"})
_PASSING = (
    ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred,
    ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.keyword,
)  # fmt: skip
_FILLING = frozenset({"append", "add", "extend"})
_DEEP = 4


def executor_swap(module: Module, lost: LostExecutor) -> Swap:
    """Decide for one executor."""
    if lost.name != "ThreadPoolExecutor":
        return Swap(Fix.NONE, _NO_DROP_IN.format(lost.name))
    return module.analysis(Swaps).swap(lost.call, lost.name, _remarks(module, lost))


def _remarks(module: Module, lost: LostExecutor) -> list[Remark]:
    works = list(_works(module, lost))
    is_seen = lost.attribute is None or lost.attribute.startswith("_")
    if works and is_seen and all(_is_waited_for(module, work, _DEEP) for work in works):
        return []
    return [(Fix.REVIEW, _CANCELLED)]


def _works(module: Module, lost: LostExecutor) -> Iterator[ast.Call]:
    """Yield the calls by which the executor is given work."""
    places = module.analysis(Owners).places
    kept = places.kept(lost.call).places
    for call in module.calls_of("submit", "map", "run_in_executor"):
        given = call.args[0] if last_name(call.func) == "run_in_executor" and call.args else None
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        used = given if given is not None else owner if last_name(call.func) in _SUBMITTING else None
        if used is not None and (used is lost.call or _is_of(places.sources([used]), kept)):
            yield call


def _is_of(sources: set[Place], kept: set[Place]) -> bool:
    return bool(kept) and meet(sources, kept)


def _is_waited_for(module: Module, node: ast.AST, deep: int) -> bool:
    """Say whether what an expression stands for is awaited, or asked for its result, in the same function."""
    if not deep:
        return False
    parent = module.parents[node]
    while isinstance(parent, _PASSING):
        node, parent = parent, module.parents[parent]
    match parent:
        case ast.Await() | ast.YieldFrom():
            return True
        case ast.For(iter=iterable) | ast.AsyncFor(iter=iterable) if iterable is node:
            return _is_drained(module, parent, deep)
        case ast.comprehension(iter=iterable) if iterable is node:
            return _is_drained(module, parent, deep)
        case ast.Attribute(attr=attr):
            return attr in _WAITS and isinstance(module.parents[parent], ast.Call)
        case ast.Call(func=ast.Attribute(value=holder, attr=attr)) if attr in _FILLING:
            return isinstance(holder, ast.Name) and _is_name_waited_for(module, holder, deep)
        case ast.Call() if last_name(parent.func) in _TOGETHER:
            return _is_result_taken(module, node, parent, deep)
        case ast.Assign(targets=[ast.Name() as name]) | ast.AnnAssign(target=ast.Name() as name):
            return _is_name_waited_for(module, name, deep)
        case _:
            return False


def _is_result_taken(module: Module, node: ast.AST, call: ast.Call, deep: int) -> bool:
    """Say whether a call that waits for several is run: a coroutine is awaited, other calls wait by themselves."""
    if (module.qualified(call.func) or "").startswith("asyncio."):
        return _is_waited_for(module, call, deep - 1)
    if last_name(call.func) in ("list", "tuple", "dict"):
        return _is_map(node) or _is_waited_for(module, call, deep - 1)
    return True


def _is_drained(module: Module, loop: ast.For | ast.AsyncFor | ast.comprehension, deep: int) -> bool:
    """Say whether a loop waits: over what `map` gives or what is completed, or for each element in its turn."""
    if _is_map(loop.iter) or last_name(loop.iter) == "as_completed":
        return True
    targets = [loop.target] if isinstance(loop.target, ast.Name) else [*walk(loop.target)]
    return any(isinstance(one, ast.Name) and _is_name_waited_for(module, one, deep) for one in targets)


def _is_map(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "map"


def _is_name_waited_for(module: Module, name: ast.Name, deep: int) -> bool:
    function = module.function(name)
    uses = [
        node
        for node in walk(function or module.tree)
        if isinstance(node, ast.Name) and node.id == name.id and isinstance(node.ctx, ast.Load) and node is not name
    ]
    return any(_is_waited_for(module, use, deep - 1) for use in uses)
