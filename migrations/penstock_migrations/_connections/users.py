"""`Users`: who calls a function that has to do with a connection, what is given to it, and where it runs."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from penstock_migrations._code.module import Binding, Function
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import vocabulary, words
from penstock_migrations._connections.openings import Openings

__all__ = ["Users", "parameter_of"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOP_RUNNERS = frozenset({"asyncio.run", "anyio.run", "uvloop.run", "trio.run"})
_MAIN = vocabulary("main cli command")
_DEEP = 3


class Users:
    """Answers who calls the functions of one module."""

    def __init__(self, openings: Openings) -> None:
        self.openings = openings
        self.module = openings.module
        self.names = openings.names
        self._handed_on: dict[Function, bool] = {}

    def given(self, binding: Binding) -> list[ast.expr] | None:
        """Return what is given for a parameter; None where callers may be that are not seen."""
        arguments = self.module.parents.get(binding.node)
        function = None if arguments is None else self.module.parents.get(arguments)
        if not isinstance(function, _FUNCTIONS) or not isinstance(binding.node, ast.arg):
            return None
        if not function.name.startswith("_") or self.is_handed_on(function):
            return None
        uses = self.openings.uses(function)
        found = [_argument(use, function, binding.node.arg) for use in uses if isinstance(use, ast.Call)]
        values = [value for value in found if value is not None]
        return values if values and len(values) == len(uses) else None

    def is_handed_on(self, function: Function) -> bool:
        """Say whether a function is used as a value, or called in a way that is not seen to be a call of it."""
        if function not in self._handed_on:
            self._handed_on[function] = self._is_handed_on(function)
        return self._handed_on[function]

    def _is_handed_on(self, function: Function) -> bool:
        uses = set(self.openings.uses(function))
        is_method = isinstance(self.module.parents[function], ast.ClassDef)
        for node in walk(self.module.tree):
            match node:
                case ast.Attribute(attr=function.name, ctx=ast.Load()) if is_method:
                    seen = self.module.qualified(node) is not None
                case ast.Name(id=function.name, ctx=ast.Load()) if not is_method:
                    seen = function not in self.module.function_named(node.id, node) or self._is_local(node)
                case _:
                    continue
            parent = self.module.parents[node]
            seen |= node in uses or (isinstance(parent, ast.Call) and parent in uses and parent.func is node)
            if not seen and not self.module.contains(function, node):
                return True
        return False

    def opens(self, call: ast.Call, seen: set[Function]) -> bool:
        """Say whether a call opens a connection, itself or in what it calls in this module."""
        if any(call is one.opener.call for one in self.openings.found):
            return True
        found = [one for one in self.names.functions(call) if one not in seen]
        seen.update(found)
        return any(self.opens(inner, seen) for one in found for inner in self.module.calls_in(one))

    def has_own_loop(self, function: Function, deep: int = _DEEP) -> bool:
        """Say whether a coroutine is run by an event loop that is made for it, again and again."""
        if not isinstance(function, ast.AsyncFunctionDef) or not deep:
            return False
        for use in self.openings.uses(function):
            parent, around = self.module.parents[use], self.module.function(use)
            if isinstance(parent, ast.Call) and self._runs_loop(parent):
                if around is not None and _MAIN.isdisjoint(words(around.name)):
                    return True
            elif around is not None and around is not function and self.has_own_loop(around, deep - 1):
                return True
        return False

    def _runs_loop(self, call: ast.Call) -> bool:
        return self.module.qualified(call.func) in _LOOP_RUNNERS or last_name(call.func) == "run_until_complete"

    def _is_local(self, node: ast.Name) -> bool:
        """Say whether a name is bound to something else where it is used."""
        return bool(self.module.bindings(node.id, node)[1])


def parameter_of(call: ast.Call, node: ast.expr, function: Function) -> str | None:
    """Return the parameter that an argument is given to; None where that cannot be told."""
    for keyword in call.keywords:
        if keyword.value is node:
            return keyword.arg
    if any(isinstance(one, ast.Starred) for one in call.args):
        return None
    names = _names(function, call)
    place = next((place for place, one in enumerate(call.args) if one is node), len(names))
    return names[place] if place < len(names) else None


def _argument(call: ast.Call, function: Function, parameter: str) -> ast.expr | None:
    """Return what a call gives for a parameter: the argument, or the default; None where that cannot be told."""
    if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
        return None
    for keyword in call.keywords:
        if keyword.arg == parameter:
            return keyword.value
    names = _names(function, call)
    if parameter in names and names.index(parameter) < len(call.args):
        return call.args[names.index(parameter)]
    return _default(function, parameter)


def _names(function: Function, call: ast.Call) -> Sequence[str]:
    found = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    return found[1:] if found[:1] in (["self"], ["cls"]) and isinstance(call.func, ast.Attribute) else found


def _default(function: Function, parameter: str) -> ast.expr | None:
    positional = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    defaults = dict(zip(reversed(positional), reversed(function.args.defaults), strict=False))
    named = {one.arg: value for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)}
    return defaults.get(parameter) or named.get(parameter)
