"""What expressions and statements pass on: to the names they bind, and from the parts they are made of."""

from __future__ import annotations

import ast

__all__ = ["bound_to", "parts_of"]


def bound_to(statement: ast.AST | None, node: ast.AST) -> list[ast.expr]:
    """Return what a statement or a loop binds an expression, or its elements, to."""
    match statement:
        case ast.Assign(targets=targets, value=value) if value is node:
            return targets
        case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value) if value is node:
            return [target]
        case ast.For(iter=value, target=target) | ast.comprehension(iter=value, target=target) if value is node:
            return [target]
        case _:
            return []


def parts_of(node: ast.expr) -> list[ast.expr]:
    """Return the expressions of which one is what another stands for, or holds it."""
    match node:
        case ast.Subscript(value=value) | ast.Starred(value=value) | ast.Await(value=value):
            return [value]
        case ast.NamedExpr(value=value) | ast.DictComp(value=value):
            return [value]
        case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
            return [item]
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return items
        case ast.Dict(values=items) | ast.BoolOp(values=items):
            return items
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case _:
            return []
