"""Tells which names of a function hold the tasks that it makes."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import own_nodes

__all__ = ["holders_of", "is_annotated_as_task", "is_counted", "name_of_growth"]


def holders_of(module: Module, function: Function | ast.Module, creation: ast.Call) -> list[str] | None:
    """Return the names that hold a task on its way to the gather; None if they cannot be told."""
    statement = module.statement(creation)
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name, *_put_into(function, name)]
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
            return [name]
        case _:
            name = name_of_growth(statement) or ""
            return [name] if name else None


def name_of_growth(statement: ast.stmt) -> str | None:
    """Return the name of the collection that a statement makes, or puts something into."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add() | ast.BitOr()):
            return name
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "add"))):
            return name
        case _:
            return None


def is_annotated_as_task(module: Module, creation: ast.Call) -> bool:
    """Say whether a name that holds a task is annotated as holding tasks or futures."""
    function = module.function(creation)
    names = holders_of(module, function, creation) if function is not None else None
    bound = [binding.node for name in names or [] for binding in module.bindings(name, creation)[1]]
    annotations = [ast.unparse(node.annotation) for node in bound if isinstance(node, ast.AnnAssign)]
    return any("Task" in annotation or "Future" in annotation for annotation in annotations)


def is_counted(module: Module, node: ast.Name) -> bool:
    """Say whether only the number of the tasks matters: `len(tasks)`, `if tasks`, `if not tasks`."""
    match module.parents[node]:
        case ast.Call(func=ast.Name(id="len")) | ast.UnaryOp(op=ast.Not()) | ast.If():
            return True
        case _:
            return False


def _put_into(function: Function | ast.Module, task: str) -> list[str]:
    """Return the names of the collections that a named task is put into."""
    return [
        call.func.value.id
        for call in own_nodes(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"append", "add"}
        and isinstance(call.func.value, ast.Name)
        and any(isinstance(argument, ast.Name) and argument.id == task for argument in call.args)
    ]
