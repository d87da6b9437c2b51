"""`Openings`: what each operation opens for itself, itself or through a helper, that could be kept or pooled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.following import Following
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import vocabulary, words
from penstock_migrations._connections.fates import Fate, Fates
from penstock_migrations._connections.openers import Kind, Opener, openers
from penstock_migrations._connections.purposes import Purposes

__all__ = ["Opening", "Openings"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_RUNNERS = ("to_thread", "run_in_executor", "run_sync", "submit", "run_in_threadpool", "sync_to_async", "partial")
_FACTORY = vocabulary("create make build new construct from connect open factory init initialize engine driver")
_HANDED_OUT = vocabulary("connection conn db database cursor session transaction")


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """Something that is opened for one operation.

    Attributes:
        opener: The call that opens it.
        function: The function around the call.
        operations: The functions that use it, by qualified name; the function itself, or callers of it. Empty where the
            callers are in other modules.
        advice: Whether it is a probe, or whether callers cannot be told.
    """

    opener: Opener
    function: Function
    operations: tuple[str, ...]
    advice: bool


class Openings:
    """The openings of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)
        self.fates = Fates(self.names)
        self.purposes = Purposes(module)
        self._following = Following()

    @cached_property
    def found(self) -> list[Opening]:
        """What is opened for one operation, in the order of the text."""
        return [one for opener in openers(self.names) if (one := self._opening(opener)) is not None]

    def _opening(self, opener: Opener) -> Opening | None:
        function = self.module.function(opener.call)
        if function is None or not isinstance(self.module.scope(opener.call), _FUNCTIONS):
            return None
        if self.fates.is_described(opener.call):
            return None
        users = self._users(opener.call)
        if users is None:
            return self._handed_out(opener, function)
        if not users:
            return None
        advice = all(self._probes(user) for user in users)
        shown = dict.fromkeys(self.module.qualname(user) or user.name for user in users)
        return Opening(opener, function, tuple(shown), advice)

    def _probes(self, function: Function) -> bool:
        """Say whether a function is a probe, or part of one, or called by probes alone."""
        uses = self.uses(function)
        callers = [around for use in uses if (around := self.module.function(use)) is not None]
        return self._is_in_probe(function) or (bool(callers) and all(map(self._is_in_probe, callers)))

    def _is_in_probe(self, function: Function) -> bool:
        around = [one for one in self.module.ancestors(function) if isinstance(one, _FUNCTIONS)]
        return any(self.purposes.is_probe(one) for one in (function, *around))

    def _handed_out(self, opener: Opener, function: Function) -> Opening | None:
        """Judge what is handed out to other modules: by its name, it is one for each use, or made once."""
        found = words(function.name)
        if not _FACTORY.isdisjoint(found[:1]) or _HANDED_OUT.isdisjoint(found):
            return None
        if self.purposes.is_lasting(function):
            return None
        return Opening(
            opener, function, (), advice=opener.kind is not Kind.CONNECTION or not self._is_entered(function)
        )

    def _is_entered(self, function: Function) -> bool:
        return any(isinstance(node, ast.Yield) for node in own_nodes(function)) or words(function.name)[:1] == ("get",)

    def _users(self, opened: ast.expr) -> list[Function] | None:
        """Return the operations that use what is opened; None where the callers are not in this module."""
        function = self.module.function(opened)
        if function is None:
            return []
        nobody: list[Function] | None = []
        return self._following.ask("users", opened, lambda: self._users_of(opened, function), nobody)

    def _users_of(self, opened: ast.expr, function: Function) -> list[Function] | None:
        fate = self.fates.of(opened)
        if fate is Fate.KEPT or self.purposes.is_cached(function):
            return []
        if fate is Fate.RETURNED:
            return self._callers_users(function)
        if self.purposes.is_setup(function) or self.purposes.is_special(function, opened) or self._is_once(function):
            return []
        return [function]

    def _callers_users(self, function: Function) -> list[Function] | None:
        if self._is_pooling(function):
            return []
        uses = self.uses(function)
        if not uses:
            return None if not self._is_shared(function) else []
        found = [self._users(use) for use in uses]
        known = [user for users in found if users for user in users]
        return known or (None if any(users is None for users in found) else [])

    def _is_pooling(self, function: Function) -> bool:
        """Say whether a helper takes from a pool what is there, or is part of a pool."""
        if self.purposes.is_setup(function) and function.name.startswith("__"):
            return True
        if any("pool" in words(one.name) for one in self.module.ancestors(function) if isinstance(one, ast.ClassDef)):
            return True
        return any(isinstance(node, ast.Attribute | ast.Name) and _is_pool(_word(node)) for node in own_nodes(function))

    def _is_shared(self, function: Function) -> bool:
        """Say whether a helper is a test's or a command's, or hands out for the life of the program."""
        named = {last_name(one) for one in function.decorator_list}
        return not {"fixture", "command"}.isdisjoint(named) or "lifespan" in words(function.name)

    def _is_once(self, function: Function) -> bool:
        """Say whether all that calls a function runs once: set-up, or the module itself."""
        uses = self.uses(function)
        return bool(uses) and all(self._runs_once(use) for use in uses)

    def _runs_once(self, use: ast.expr) -> bool:
        around = self.module.function(use)
        if around is None:
            return True
        if self.purposes.is_setup(around):
            return True
        return self._following.ask("once", around, lambda: self._is_once(around), otherwise=False)

    def uses(self, function: Function) -> list[ast.expr]:
        """Return the expressions that run a function of this module, but those within itself."""
        found = [use for use in self._all_uses(function) if not self.module.contains(function, use)]
        return list(dict.fromkeys(found))

    def _all_uses(self, function: Function) -> Iterator[ast.expr]:
        for call in self.module.calls_of(function.name):
            if function in self.names.functions(call) or self._is_of_class(call, function):
                yield call
        for call in self.module.calls_of(*_RUNNERS):
            if any(self._is_named(argument, function) for argument in call.args):
                yield call
        if any("property" in words(last_name(one)) for one in function.decorator_list):
            yield from self._readings(function)

    def _is_of_class(self, call: ast.Call, function: Function) -> bool:
        around = self.module.parents[function]
        if not isinstance(around, ast.ClassDef) or not isinstance(call.func, ast.Attribute):
            return False
        owner = call.func.value
        return (isinstance(owner, ast.Name) and owner.id == around.name) or function.name.startswith("_")

    def _is_named(self, argument: ast.expr, function: Function) -> bool:
        match argument:
            case ast.Name(id=name):
                return function in self.module.function_named(name, argument)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return name == function.name and function in self.module.method_named(name, argument)
            case _:
                return False

    def _readings(self, function: Function) -> Iterator[ast.expr]:
        around = self.module.class_around(function)
        for node in walk(around) if around is not None else ():
            match node:
                case ast.Attribute(value=ast.Name(id="self"), attr=function.name, ctx=ast.Load()):
                    yield node


def _is_pool(name: str) -> bool:
    """Say whether a name is that of a pool; `pool_size` and the class `NullPool` are none."""
    return words(name)[-1:] == ("pool",) and not name[:1].isupper()


def _word(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id
