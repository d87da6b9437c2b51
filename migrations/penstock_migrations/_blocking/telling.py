"""`Telling`: what the functions of one module tell other files about blocking: what they call, ship and make."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from penstock_migrations._blocking.blocking import Blockings, blockings
from penstock_migrations._blocking.known import METHODS
from penstock_migrations._blocking.running import ITERATED, is_for_development, is_iterated, is_told_not_to_wait, runs
from penstock_migrations._blocking.shipping import SHIPPING_WORDS, shipped, waited_for
from penstock_migrations._code.facts import Blocking, CallFacts
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.references import References
from penstock_migrations._code.vocabulary import words
from penstock_migrations.rule import Options

__all__ = ["ANY", "Telling", "shipping_calls"]

_SHIPPING_NAMES = frozenset(
    {"Thread", "Timer", "asyncify", "map", "run_in_executor", "run_sync", "submit", "sync_to_async", "to_thread"}
)
_CLIENTS = frozenset(name for name, (kind, _) in METHODS.items() if kind == "http")
_MANY = 16
ANY = "*."  # before the name of a method, in a reference: of any class


class Telling:
    """Answers for the functions of one module."""

    def __init__(self, module: Module, references: References, options: Options) -> None:
        self.module = module
        self.references = references
        self.blockings: Blockings = blockings(module, options)
        self._shipping = _shipping_words(module)

    def blocks(self, function: Function) -> tuple[Blocking, ...]:
        """Return where a function blocks its thread itself."""
        return self.blockings.facts(function)

    def makes(self, function: Function) -> str | None:
        """Return which HTTP client a function returns, if it does: `requests.Session`."""
        if not self.blockings.has_clients or isinstance(function, ast.AsyncFunctionDef):
            return None
        found = set(self.blockings.makers.named(function.returns)) if function.returns is not None else set()
        for value in self.module.returned_by(function):
            found |= self.blockings.makers.of(value)
        return min(found & _CLIENTS, default=None)

    def how(self, call: ast.Call, function: Function | None) -> str:
        """Say how a call runs what it calls; see `CallFacts`."""
        if self.blockings.is_awaited(call):
            return "awaited"
        if self._is_deferred(call):
            return "deferred"
        around = self.blockings.lambda_around(call)
        if around is not None and not self.blockings.is_run_at_once(call):
            parent = self.module.parents.get(around)
            is_shipped = isinstance(parent, ast.Call) and shipped(self.module, parent) is around
            return "shipped" if is_shipped else "deferred"
        if function is not None and not self.blockings.tells(function):
            return "deferred"
        return ITERATED if is_iterated(self.module, call) else "called"

    def _is_deferred(self, call: ast.Call) -> bool:
        """Say whether a call does not make its function block here: it only binds arguments, or is told not to wait."""
        if last_name(call.func) == "partial" and not self.blockings.is_called_there(call):
            return True
        return is_told_not_to_wait(call) or is_for_development(self.module, call)

    def runs(self, function: Function) -> str:
        """Say when the body of a function runs; see `FunctionFacts`."""
        return runs(self.module, function)

    def ships(self, function: Function | None) -> Iterator[CallFacts]:
        """Yield what the calls of a function hand to threads and executors; a pool in a `with` is waited for."""
        for call in self.module.calls_in(function) if self._shipping else ():
            if last_name(call.func) not in self._shipping:
                continue
            if (found := shipped(self.module, call)) is not None:
                for reference in self.of_function(found, call) or _of_any(found):
                    yield self.fact(call, reference, "shipped")
            elif (found := waited_for(self.module, call)) is not None:
                yield from (self.fact(call, one, "called") for one in self.of_function(found, call))

    def fact(self, call: ast.Call, reference: str, how: str) -> CallFacts:
        """Return a call as a fact."""
        column = self.module.character_column(call) + 1
        return CallFacts(reference, how, call.lineno, call.end_lineno or call.lineno, column)

    def of_function(self, node: ast.expr, call: ast.Call) -> list[str]:
        """Return references of a function that is handed to a call."""
        if isinstance(node, ast.Lambda):
            return []  # what it calls is told of call by call
        made = self.module.made_call(node, [], call)
        return self.references.of(made) or self.more(made)

    def more(self, call: ast.Call) -> list[str]:
        """Return references that take a further look: of a class that is made, of what a function returns."""
        match call.func:
            case ast.Name(id=name) if name in self.module.classes:
                return [f":{name}.__init__"]
            case ast.Attribute(value=ast.Name(id=name) as owner, attr=method):
                _, found = self.module.bindings(name, owner)
                made = [(one.value, one.path) for one in found if isinstance(one.value, ast.Call)]
            case ast.Attribute(value=ast.Call() as inner, attr=method):
                made = [(inner, ())]
            case _:
                return []
        classes = [one for value, path in made for one in self._returned_classes(value, path)]
        return [f"{one}.{method}" for one in dict.fromkeys(classes)][:_MANY]

    def _returned_classes(self, call: ast.Call, path: tuple[int, ...]) -> Iterator[str]:
        """Yield references of the classes whose objects a function of this module returns, alone or in a tuple."""
        for function in self.references.names.functions(call):
            for returned in self.module.returned_by(function):
                value = _unpacked(returned, path)
                bound = [value]
                if isinstance(value, ast.Name):
                    bound = [one.value for one in self.module.bindings(value.id, value)[1] if one.value is not None]
                for one in bound:
                    if isinstance(one, ast.Call):
                        yield from self.references.of_class(one.func)


def _unpacked(value: ast.expr, path: tuple[int, ...]) -> ast.expr:
    for place in path:
        if not isinstance(value, ast.Tuple) or place >= len(value.elts):
            break
        value = value.elts[place]
    return value


def shipping_calls(module: Module) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Yield the calls of a module that ship work to threads, each with what it ships."""
    shipping = _shipping_words(module)
    for call in module.calls if shipping else ():
        if last_name(call.func) in shipping and (found := shipped(module, call)) is not None:
            yield call, found


def _shipping_words(module: Module) -> frozenset[str]:
    """Return the last words of what is called in a module that may ship work to threads."""
    return frozenset(filter(_may_ship, module.called))


def _of_any(node: ast.expr) -> list[str]:
    """Return a reference of a method of who knows which object: those that have one of this name may tell."""
    if not isinstance(node, ast.Attribute) or node.attr.startswith("__"):
        return []
    return [f"{ANY}{node.attr}"]


@lru_cache(4096)
def _may_ship(name: str) -> bool:
    return name in _SHIPPING_NAMES or not SHIPPING_WORDS.isdisjoint(words(name))
