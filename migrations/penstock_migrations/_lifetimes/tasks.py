"""Finds the calls that create a task and throw it away."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import words
from penstock_migrations.rule import Severity

__all__ = ["unreferenced"]

_SPAWNS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})
_LOOPS = frozenset({"asyncio.get_event_loop", "asyncio.get_running_loop", "asyncio.new_event_loop"})
_CALLING_BACK = frozenset({"add_signal_handler", "call_soon", "call_soon_threadsafe", "call_later", "call_at"})
_WAITING = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield)


def unreferenced(module: Module) -> Iterator[tuple[ast.Call, str, Severity]]:
    """Yield the calls whose task nothing refers to, what they call, and how much it matters."""
    for call in module.calls_of("create_task", "ensure_future"):
        name = _spawns(module, call)
        severity = _severity(module, call) if name else None
        if severity is not None:
            yield call, name, severity


def _spawns(module: Module, call: ast.Call) -> str:
    """Return what creates a task: a function of asyncio, or a method of a loop."""
    name = module.qualified(call.func) or ""
    if ".".join(name.split(".")[-2:]) in _SPAWNS:  # some import asyncio from where it is patched
        return name
    if isinstance(call.func, ast.Attribute) and call.func.attr == "create_task":
        return ast.unparse(call.func) if _is_loop(module, call.func.value) else ""
    return ""


def _is_loop(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return module.qualified(node.func) in _LOOPS or words(last_name(node))[-1:] == ("loop",)
    return words(last_name(node))[-1:] == ("loop",)


def _severity(module: Module, call: ast.Call) -> Severity | None:
    node: ast.AST = call
    parent = module.parents[node]
    while isinstance(parent, ast.IfExp | ast.BoolOp):
        node, parent = parent, module.parents[parent]
    match parent:
        case ast.Expr():
            return Severity.MEDIUM
        case ast.Lambda() if _is_callback(module, parent):
            return Severity.MEDIUM
        case ast.Assign(targets=[ast.Name(id=name)]):
            return _severity_of_name(module, parent, name)
        case _:
            return None


def _is_callback(module: Module, made: ast.Lambda) -> bool:
    around = module.parents[made]
    return isinstance(around, ast.Call) and last_name(around.func) in _CALLING_BACK


def _severity_of_name(module: Module, assignment: ast.Assign, name: str) -> Severity | None:
    """Say how much it matters that a name has the task: a name that is read, or is not the function's, keeps it.

    Only adding a callback to the task is no reading: the task refers to the callback, not the callback to the task.
    """
    function = module.function(assignment)
    if function is None or not isinstance(module.bindings(name, assignment)[0], ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    for node in walk(function):
        if isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
            return None
        is_read = isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        if is_read and not _only_adds_callback(module, node):
            return None
    goes_on = any(isinstance(node, _WAITING) and node.lineno > assignment.lineno for node in own_nodes(function))
    return Severity.LOW if goes_on else Severity.MEDIUM


def _only_adds_callback(module: Module, name: ast.AST) -> bool:
    """Say whether a name is read for nothing but `task.add_done_callback(done)`, a statement of its own."""
    method = module.parents[name]
    if not (isinstance(method, ast.Attribute) and method.attr == "add_done_callback"):
        return False
    call = module.parents[method]
    return isinstance(call, ast.Call) and call.func is method and isinstance(module.parents[call], ast.Expr)
