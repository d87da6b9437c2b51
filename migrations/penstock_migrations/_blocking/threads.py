"""Finds HTTP that a module ships to threads, as far as its own code shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._blocking.blocking import Blockings, blockings
from penstock_migrations._blocking.telling import shipping_calls
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.tree import walk
from penstock_migrations.rule import Options

__all__ = ["ShippedCall", "shipped_http"]

_HTTP = ("http", "sdk")
_DECORATORS = frozenset({"sync_to_async", "asyncify", "run_in_executor", "run_in_threadpool", "to_thread"})


@dataclass(frozen=True, slots=True, eq=False)
class ShippedCall:
    """HTTP that runs in a thread.

    Attributes:
        node: The call that ships it, or its own call where a function is defined to be shipped.
        kind: `http` or `sdk`.
        what: What does HTTP: `requests.get`.
        by: What ships it: `asyncio.to_thread`.
    """

    node: ast.expr
    kind: str
    what: str
    by: str


def shipped_http(module: Module, options: Options) -> Iterator[ShippedCall]:
    """Yield the HTTP that is shipped as it is, in a lambda, or in a function defined there or decorated for it."""
    found = blockings(module, options)
    if not found.has_clients and not _may_do_http(module):
        return
    seen: set[ast.AST] = set()
    for call, function in shipping_calls(module):
        for one in _of_call(found, call, function):
            if one.node not in seen:
                seen.add(one.node)
                yield one
    for functions in module.functions.values():
        for decorated in functions:
            yield from (one for one in _of_decorated(found, decorated) if one.node not in seen)


def _may_do_http(module: Module) -> bool:
    return any(target.startswith(("urllib", "http")) for target in module.imports.values())


def _of_call(found: Blockings, call: ast.Call, function: ast.expr) -> Iterator[ShippedCall]:
    by = ast.unparse(call.func)
    if isinstance(function, ast.Lambda):
        inner = [found.classified(node) for node in walk(function) if isinstance(node, ast.Call)]
        calls = [one for one in inner if one is not None and one.kind in _HTTP]
        yield from (ShippedCall(call, one.kind, one.what, by) for one in calls[:1])
    elif (named := found.named(function)) is not None:
        yield from [ShippedCall(call, *named, by)] if named[0] in _HTTP else []
    elif isinstance(function, ast.Name):
        for nested in found.module.function_named(function.id, call):
            if found.module.function(nested) is not None:
                yield from _within(found, nested, by)


def _of_decorated(found: Blockings, function: Function) -> Iterator[ShippedCall]:
    for decorator in function.decorator_list:
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        text = ast.unparse(named)
        if text.rpartition(".")[2] in _DECORATORS:
            yield from _within(found, function, f"@{text}")


def _within(found: Blockings, function: Function, by: str) -> Iterator[ShippedCall]:
    if isinstance(function, ast.FunctionDef):
        yield from (ShippedCall(one.node, one.kind, one.what, by) for one in found.calls(function) if one.kind in _HTTP)
