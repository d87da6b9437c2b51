"""Follows names: which bindings of a name reach the place where it is used, and which functions a call means."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from penstock_migrations._code.module import Binding, Function, Module
from penstock_migrations._code.tree import LEAVES, children

__all__ = ["Reaching", "last_name", "loops_around", "own_nodes", "start_of"]

LOOPS = (ast.For, ast.AsyncFor, ast.While)
_CLOSED = LEAVES | {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}
_COMPOUND = (*LOOPS, ast.If, ast.With, ast.AsyncWith)


class Reaching:
    """Answers where the names of one module get their values."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def bindings(self, name: str, use: ast.AST) -> tuple[ast.AST | None, list[Binding]]:
        """Return the bindings of a name that reach its use, and the one among them that the others build upon.

        The one is None where it cannot be told, as for a name of an outer function: then all bindings are returned.
        """
        scope, found = self.module.bindings(name, use)
        if found and isinstance(found[0].node, ast.comprehension):
            return found[0].node, found
        if scope is None or scope is not self.module.scope(use):
            return None, found
        origin = self._origin(found, use)
        loops = [loop for loop in loops_around(self.module, use) if origin is None or not self._holds(loop, origin)]
        return origin, [binding for binding in found if self._reaches(binding, use, origin, loops)]

    def values(self, node: ast.expr) -> list[ast.expr]:
        """Return what a name, or an attribute of self, is bound to or entered as anywhere; each part of `a or b`."""
        bound = [binding for binding in self.all_bindings(node) if binding.kind in ("value", "context")]
        values = [binding.value for binding in bound if binding.value is not None]
        return [part for value in values for part in (value.values if isinstance(value, ast.BoolOp) else [value])]

    def all_bindings(self, node: ast.expr) -> list[Binding]:
        """Return every binding of a name, or of an attribute of self, wherever it is; none of anything else."""
        match node:
            case ast.Name(id=name):
                return self.module.bindings(name, node)[1]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return self.module.attribute_bindings(name, node)
            case _:
                return []

    def functions(self, call: ast.Call) -> list[Function]:
        """Return the functions of this module that a call means."""
        match call.func:
            case ast.Name(id=name):
                return self.module.function_named(name, call)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return self.module.method_named(name, call)
            case _:
                return []

    def called(self, node: ast.expr) -> str:
        """Return the imported or built-in name that is called; empty for methods and what is no call."""
        if not isinstance(node, ast.Call):
            return ""
        return self.module.qualified(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")

    def loops_of_growth(self, node: ast.AST, origin: ast.AST | None) -> list[ast.AST]:
        """Return the loops around a growth, up to the loop in which the collection is made anew."""
        made_in = set(self.module.ancestors(origin)) if origin is not None else set()
        return [loop for loop in loops_around(self.module, node) if loop not in made_in]

    def _reaches(self, binding: Binding, use: ast.AST, origin: ast.AST | None, loops: Sequence[ast.AST]) -> bool:
        if any(self._holds(loop, binding.node) for loop in loops):
            return True
        after = origin is None or start_of(origin) <= start_of(binding.node)
        return after and start_of(binding.node) < start_of(use) and not self._feeds(binding, use)

    def _origin(self, found: Sequence[Binding], use: ast.AST) -> ast.AST | None:
        """Return the last binding that is certainly done before the use."""
        around = {use, *self.module.ancestors(use)}
        certain = [
            binding.node
            for binding in found
            if binding.kind not in ("item", "items")
            and start_of(binding.node) < start_of(use)
            and self._is_certain(binding, use, around)
        ]
        return max(certain, key=start_of, default=None)

    def _is_certain(self, binding: Binding, use: ast.AST, around: set[ast.AST]) -> bool:
        if isinstance(binding.node, ast.arg):
            return True
        statement = self.module.statement(binding.node)
        if statement in around:
            return isinstance(statement, _COMPOUND) and not self._feeds(binding, use)
        parent = self.module.parents[statement]
        return any(statement in block and not around.isdisjoint(block) for block in blocks(parent))

    def _feeds(self, binding: Binding, use: ast.AST) -> bool:
        """Say whether the use is part of what the name is bound to."""
        node = binding.node
        source = node.iter if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) else node
        return self.module.contains(source, use)

    def _holds(self, loop: ast.AST, node: ast.AST) -> bool:
        return loop is not node and self.module.contains(loop, node)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes within a node, in no order, without what runs only when a function defined there is called."""
    stack = children(node)
    while stack:
        found = stack.pop()
        yield found
        if found.__class__ not in _CLOSED:
            stack += children(found)


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of a compound statement."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block


def loops_around(module: Module, node: ast.AST) -> list[ast.AST]:
    """Return the loop statements around a node within its function, innermost first."""
    loops: list[ast.AST] = []
    for around in module.ancestors(node):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            break
        if isinstance(around, LOOPS):
            loops.append(around)
    return loops


def start_of(node: ast.AST) -> tuple[int, int]:
    """Return where a node starts, as a line and a column."""
    if isinstance(node, ast.comprehension):
        node = node.target
    elif isinstance(node, ast.withitem):
        node = node.context_expr
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def last_name(node: ast.expr) -> str:
    """Return the last word of a dotted name or of what is called: `listeners` of `self.bus.listeners`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=func):
            return last_name(func)
        case _:
            return ""
