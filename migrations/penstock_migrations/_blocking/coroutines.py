"""Finds what blocks the event loop in a coroutine's own code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._blocking.blocking import BlockingCall, blockings
from penstock_migrations._blocking.known import FUNCTIONS, METHODS
from penstock_migrations._blocking.shipping import shipped
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations.rule import Options

__all__ = ["in_coroutines"]

_HANDED_ON = frozenset(
    {name.rpartition(".")[2] for name, kind in FUNCTIONS.items() if kind == "http"}
    | {name for kind, names in METHODS.values() for name in names if kind == "http"}
)
_KEEPING = frozenset({"cast", "create_autospec", "partial", "patch", "signature", "wraps"})  # they call nothing


def in_coroutines(module: Module, options: Options, kinds: tuple[str, ...]) -> Iterator[BlockingCall]:
    """Yield what blocks in coroutines by some kinds of blocking: calls, and functions handed on to be called."""
    found = blockings(module, options)
    for functions in list(module.functions.values()):
        for function in functions:
            if isinstance(function, ast.AsyncFunctionDef):
                yield from (one for one in found.calls(function) if one.kind in kinds)
                if "http" in kinds and found.has_clients:
                    for call in module.calls_in(function):
                        yield from _handed_on(module, options, call)


def _handed_on(module: Module, options: Options, call: ast.Call) -> Iterator[BlockingCall]:
    """Yield the HTTP functions that a call is given, and which it can only call then and there."""
    first = call.args[0] if call.args else None
    if not isinstance(first, ast.Attribute) or first.attr not in _HANDED_ON:
        return
    if (
        last_name(call.func) in _KEEPING
        or isinstance(module.parents.get(call), ast.Await)
        or shipped(module, call) is not None
    ):
        return
    named = blockings(module, options).named(first)
    if named is not None and named[0] == "http":
        yield BlockingCall(first, *named)
