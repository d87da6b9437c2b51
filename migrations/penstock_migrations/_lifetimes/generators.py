"""Finds the async generators that are left before their end, and what they hold then."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import LOOPS, Reaching, own_nodes
from penstock_migrations._lifetimes.fates import End, Fates
from penstock_migrations._lifetimes.resources import Kind

__all__ = ["abandoned"]


def abandoned(module: Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls of async generators that a loop leaves before their end, and the generators' names."""
    held = {one for node in module.yields if (one := _holder(module, node)) is not None}
    names, fates = Reaching(module), Fates(module)
    for call in module.calls_of(*(one.name for one in held)) if held else ():
        if held.isdisjoint(names.functions(call)):
            continue
        if any(_is_left(module, loop) for loop in _loops(module, fates, call)):
            yield call, ast.unparse(call.func)


def _holder(module: Module, node: ast.Yield) -> ast.AsyncFunctionDef | None:
    """Return the async generator that holds something while it waits at a `yield` for its consumer."""
    function = module.function(node)
    if not isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
        return None
    child: ast.AST = node
    for around in module.ancestors(node):
        if around is function:
            return None
        if isinstance(around, ast.With | ast.AsyncWith) and child in around.body:
            return function
        if isinstance(around, ast.Try) and around.finalbody and child not in around.finalbody:
            return function
        child = around
    return None


def _loops(module: Module, fates: Fates, call: ast.Call) -> Iterator[ast.AsyncFor]:
    """Yield the loops over a generator that nobody else has or closes."""
    match module.parents[call]:
        case ast.AsyncFor() as loop:
            yield loop
        case ast.Assign(targets=[ast.Name(id=name)]) if fates.of(call, Kind.CLIENT).end is End.LOST:
            for node in own_nodes(module.scope(call)):
                if isinstance(node, ast.AsyncFor) and isinstance(node.iter, ast.Name) and node.iter.id == name:
                    yield node


def _is_left(module: Module, loop: ast.AsyncFor) -> bool:
    """Say whether a loop's body leaves it: by `return`, or by a `break` of its own."""
    return any(
        isinstance(node, ast.Return) or (isinstance(node, ast.Break) and _loop_of(module, node) is loop)
        for statement in loop.body
        for node in (statement, *own_nodes(statement))
    )


def _loop_of(module: Module, node: ast.AST) -> ast.AST | None:
    child = node
    for around in module.ancestors(node):
        if isinstance(around, LOOPS) and child not in around.orelse:
            return around
        child = around
    return None
