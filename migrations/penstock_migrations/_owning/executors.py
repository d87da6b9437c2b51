"""Decides how an executor that nothing shuts down gets an owner."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._owning.swaps import Remark, Swap, Swaps
from penstock_migrations._owning.waiting import is_waited_for
from penstock_migrations._threads.owners import LostExecutor, Owners
from penstock_migrations._threads.places import Place, meet
from penstock_migrations.rule import Fix

__all__ = ["executor_swap"]

_NO_DROP_IN = "there is no drop-in for {}: shut it down where its owner ends, or share one and shut that down"
_CANCELLED = "what is queued at exit runs to its end; enforced, it is cancelled: is all of it waited for?"
_FAILURE = "where one call fails, those that are still queued at the exit are cancelled when it is enforced"
_SUBMITTING = frozenset({"submit", "map"})


def executor_swap(module: Module, lost: LostExecutor) -> Swap:
    """Decide for one executor."""
    if lost.name != "ThreadPoolExecutor":
        return Swap(Fix.NONE, _NO_DROP_IN.format(lost.name))
    return module.analysis(Swaps).swap(lost.call, lost.name, _remarks(module, lost), _FAILURE)


def _remarks(module: Module, lost: LostExecutor) -> list[Remark]:
    kept = module.analysis(Owners).places.kept(lost.call).places
    works = list(_works(module, lost, kept))
    is_seen = (lost.attribute is None or lost.attribute.startswith("_")) and not _is_submit_handed_on(module, kept)
    if works and is_seen and all(is_waited_for(module, work) for work in works):
        return []
    return [(Fix.REVIEW, _CANCELLED)]


def _works(module: Module, lost: LostExecutor, kept: set[Place]) -> Iterator[ast.Call]:
    """Yield the calls by which the executor is given work."""
    for call in module.calls_of("submit", "map", "run_in_executor"):
        given = call.args[0] if last_name(call.func) == "run_in_executor" and call.args else None
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        used = given if given is not None else owner if last_name(call.func) in _SUBMITTING else None
        if used is not None and (used is lost.call or _is_of(module, used, kept)):
            yield call


def _is_submit_handed_on(module: Module, kept: set[Place]) -> bool:
    """Say whether the executor's method is not called where it stands: `put = executor.submit`."""
    for node in walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in _SUBMITTING and _is_of(module, node.value, kept):
            around = module.parents[node]
            if not (isinstance(around, ast.Call) and around.func is node):
                return True
    return False


def _is_of(module: Module, node: ast.expr, kept: set[Place]) -> bool:
    return bool(kept) and meet(module.analysis(Owners).places.sources([node]), kept)
