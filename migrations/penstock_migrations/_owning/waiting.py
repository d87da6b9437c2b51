"""Says whether a function waits for the work that it hands to an executor, whatever way it takes."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk

__all__ = ["is_waited_for"]

_WAITS = frozenset({"result", "exception"})
_TOGETHER = frozenset({"gather", "wait", "shield", "wrap_future"})
_COLLECTING = frozenset({"list", "tuple", "dict"})
_PATIENCE = frozenset({"timeout", "return_when"})  # may end before all is done
_TIMEOUTS = frozenset({"timeout", "timeout_at", "fail_after", "fail_at", "move_on_after", "move_on_at"})
_PASSING = (
    ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred,
    ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.keyword,
)  # fmt: skip
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_FILLING = frozenset({"append", "add", "extend"})
_LEAVING = (ast.Return, ast.Raise, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)
_DEEP = 4


def is_waited_for(module: Module, work: ast.Call) -> bool:
    """Say whether what a call hands in is awaited, or asked for its result, on every way through the same function.

    Errors are left out: who raises one does not wait any more.
    """
    if last_name(work.func) == "map" and not _is_patient(work):
        return False
    return _Work(module, work).is_waited_for(work, _DEEP)


class _Work:
    """What one call hands in, followed to where somebody waits for it."""

    def __init__(self, module: Module, work: ast.Call) -> None:
        self.module = module
        self.work = work
        self.function = module.function(work)

    def is_waited_for(self, node: ast.AST, deep: int) -> bool:
        """Say whether what an expression stands for is waited for."""
        if not deep:
            return False
        parent = self.module.parents[node]
        while isinstance(parent, _PASSING):
            node, parent = parent, self.module.parents[parent]
        match parent:
            case ast.Await():
                return self._is_certain(parent)
            case ast.For(iter=iterable) | ast.AsyncFor(iter=iterable) if iterable is node:
                return self._is_certain(parent) and self._is_drained(parent, deep)
            case ast.comprehension(iter=iterable) if iterable is node:
                return not parent.ifs and self._is_drained(parent, deep)
            case ast.Attribute(attr=attr):
                call = self.module.parents[parent]
                if attr not in _WAITS or not isinstance(call, ast.Call) or call.args or call.keywords:
                    return False
                return call.func is parent and self._is_certain(call)
            case ast.Call():
                return self._is_call_waited_for(node, parent, deep)
            case ast.Assign(targets=[ast.Name() as name]) | ast.AnnAssign(target=ast.Name() as name):
                return self._is_name_waited_for(name, deep)
            case _:
                return False

    def _is_call_waited_for(self, node: ast.AST, call: ast.Call, deep: int) -> bool:
        """Say whether a call that is given several waits for them: coroutines and iterators do it when they are run."""
        name = last_name(call.func)
        if isinstance(call.func, ast.Attribute) and name in _FILLING:
            return isinstance(call.func.value, ast.Name) and self._is_name_waited_for(call.func.value, deep)
        if name == "as_completed" or (name in _TOGETHER and self._is_asyncio(call)):
            return _is_patient(call) and self.is_waited_for(call, deep - 1)
        if name in _COLLECTING:
            return self._is_certain(call) if _is_lazy(node) else self.is_waited_for(call, deep - 1)
        return name == "wait" and _is_patient(call) and self._is_certain(call)

    def _is_asyncio(self, call: ast.Call) -> bool:
        return (self.module.qualified(call.func) or "").startswith("asyncio.")

    def _is_drained(self, loop: ast.For | ast.AsyncFor | ast.comprehension, deep: int) -> bool:
        """Say whether a loop waits: over what `map` gives or what is completed, or for each element in its turn."""
        if _is_lazy(loop.iter) and not (isinstance(loop.iter, ast.Call) and self._is_asyncio(loop.iter)):
            return True
        targets = [loop.target] if isinstance(loop.target, ast.Name) else [*walk(loop.target)]
        return any(isinstance(one, ast.Name) and self._is_name_waited_for(one, deep) for one in targets)

    def _is_name_waited_for(self, name: ast.Name, deep: int) -> bool:
        uses = [
            node
            for node in walk(self.function or self.module.tree)
            if isinstance(node, ast.Name) and node.id == name.id and isinstance(node.ctx, ast.Load) and node is not name
        ]
        return any(self.is_waited_for(use, deep - 1) for use in uses)

    def _is_certain(self, wait: ast.Await | ast.Call | ast.For | ast.AsyncFor) -> bool:
        """Say whether every way from the work leads to what waits for it, and to its end if that is a loop."""
        if self.module.function(wait) is not self.function:
            return False
        inner: ast.AST = wait
        around: set[ast.AST] = set()
        for node in self.module.ancestors(wait):
            if node is self.function:
                break
            if _may_pass_by(node, inner) and not self.module.contains(node, self.work):
                return False
            if isinstance(node, ast.With | ast.AsyncWith) and any(map(_gives_up, node.items)):
                return False
            around.add(node)
            inner = node
        begin, end = _begin(self.work), (wait.end_lineno or 0, wait.end_col_offset or 0)
        leaving = (one for one in own_nodes(self.function or self.module.tree) if isinstance(one, _LEAVING))
        return not any(begin < _begin(one) < end for one in leaving if one not in around)


def _begin(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _may_pass_by(node: ast.AST, inner: ast.AST) -> bool:
    """Say whether a node may be run without one of its parts."""
    match node:
        case ast.If(test=always) | ast.IfExp(test=always) | ast.While(test=always) | ast.Match(subject=always):
            return inner is not always
        case ast.BoolOp(values=[always, *_]):
            return inner is not always
        case ast.ExceptHandler() | ast.Lambda():
            return True
        case _:
            return isinstance(node, _COMPREHENSIONS) and any(loop.ifs for loop in node.generators)


def _gives_up(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, ast.Call) and last_name(item.context_expr.func) in _TIMEOUTS


def _is_patient(call: ast.Call) -> bool:
    """Say whether a call that waits does so until all is done."""
    is_positional = last_name(call.func) in ("wait", "as_completed") and len(call.args) > 1
    return not is_positional and not any(word.arg is None or word.arg in _PATIENCE for word in call.keywords)


def _is_lazy(node: ast.AST) -> bool:
    """Say whether an expression is an iterator that waits while it is iterated over."""
    if not isinstance(node, ast.Call):
        return False
    return last_name(node.func) == "as_completed" or (isinstance(node.func, ast.Attribute) and node.func.attr == "map")
