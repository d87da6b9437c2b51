"""`Bypasses`: calls of a function that a breaker guards elsewhere in the module, past the breaker."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterable, Iterator

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.words import names_breaker, switch_polarity
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import mentions, words

__all__ = ["Bypasses"]

Key = tuple[str, Hashable]

_SHORT_BODY = 2
_TWINS = ("sync", "async")
_HANDSHAKE = frozenset(["auth", "authenticate", "close", "connect", "disconnect", "login", "logout", "token"])


class Bypasses:
    """The calls of one module that pass a breaker by; each is a node and what it calls."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)

    def unwrapped(self) -> Iterator[tuple[ast.Attribute, str]]:
        """Yield where the function beneath a guarded one is taken: `fetch.__wrapped__`."""
        for node in self.breakers.nodes(ast.Attribute):
            if not isinstance(node, ast.Attribute) or node.attr != "__wrapped__":
                continue
            if isinstance(node.ctx, ast.Load) and self._is_guarded_name(node.value) and self._is_blamed(node):
                yield node, ast.unparse(node)
        for call in self.module.calls_of("unwrap"):
            is_unwrap = self.module.qualified(call.func) == "inspect.unwrap" and bool(call.args)
            is_called = isinstance(self.module.parents[call], ast.Call)
            if is_unwrap and is_called and self._is_guarded_name(call.args[0]) and self._is_blamed(call):
                yield call.func, ast.unparse(call)  # type: ignore[misc]

    def direct(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield the calls of what a breaker guards in another place."""
        guarded = self._guarded()
        if not guarded:
            return
        words = {text.rpartition(".")[2] for text, _ in guarded}
        for call in self.module.calls_of(*sorted(words)):
            key = self._key(call.func)
            if key is not None and key in guarded and self.is_past(call, guarded[key]) and not self._is_own(call):
                yield call, key[0]

    def _guarded(self) -> dict[Key, set[ast.AST]]:
        """Return what breakers guard, with the nodes that say so."""
        found: dict[Key, set[ast.AST]] = {}
        for call, target in self.breakers.guarding_calls:
            for inner in _targets(target):
                key = self._key(inner)
                if key is not None and not self._is_abstract(inner) and not self._is_rebound(call, key[0]):
                    found.setdefault(key, set()).add(call)
        for with_ in {
            parent for parent in self.module.parents.values() if isinstance(parent, ast.With | ast.AsyncWith)
        }:
            if len(with_.body) > _SHORT_BODY or not any(self._is_plain_breaker(item) for item in with_.items):
                continue
            for inner in _called_in(with_.body):
                key = self._key(inner.func)
                if key is not None:
                    found.setdefault(key, set()).add(with_)
        return found

    def _is_plain_breaker(self, item: ast.withitem) -> bool:
        return self.breakers.enters_breaker(item.context_expr)

    def _key(self, func: ast.expr) -> Key | None:
        """Return what identifies a function: its dotted name, and where it belongs.

        A name counts if it is imported or defined in this module; a dotted one if it begins with self or an import.
        """
        match func:
            case ast.Name(id=name):
                scope, bound = self.module.bindings(name, func)
                if bound and scope is not self.module.tree:
                    return None
                if functions := self.module.function_named(name, func):
                    return name, self._home(functions[0])
                return (name, None) if name in self.module.imports else None
            case ast.Attribute():
                text = ast.unparse(func)
                root = text.partition(".")[0]
                if root in ("self", "cls"):
                    return text, self.module.class_around(func)
                if not text.replace(".", "").replace("_", "").isalnum():
                    return None
                return (text, None) if self.module.qualified(func) or self._is_module_level(func) else None
            case _:
                return None

    def _home(self, function: Function) -> Hashable:
        """Return what tells functions of one name apart: what is around them, the same for `run_sync`, `run_async`."""
        outer = self.module.function(function)
        if outer is None:
            return None
        return self.module.class_around(function), *(word for word in words(outer.name) if word not in _TWINS)

    def _is_module_level(self, func: ast.Attribute) -> bool:
        root: ast.expr = func
        while isinstance(root, ast.Attribute):
            root = root.value
        return isinstance(root, ast.Name) and self.module.bindings(root.id, root)[0] is self.module.tree

    def _is_abstract(self, func: ast.expr) -> bool:
        """Say whether a method is for subclasses to write, which may guard it there."""
        return any(
            last_name(mark) == "abstractmethod"
            for method in self.module.method_named(last_name(func), func)
            for mark in method.decorator_list
        )

    def _is_rebound(self, call: ast.Call, name: str) -> bool:
        """Say whether the guarded function takes the raw one's name: `fetch = breaker(fetch)`."""
        statement = self.module.statement(call)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        return any(ast.unparse(target) == name for target in targets)

    def is_past(self, call: ast.Call, guarded: Iterable[ast.AST]) -> bool:
        """Say whether a call is past a breaker: under none, where one was set up, in code that is to be blamed.

        Args:
            call: The call.
            guarded: What runs under the breaker elsewhere.
        """
        if not self._is_blamed(call) or self.breakers.is_under_breaker(call) or self._is_definition(call):
            return False
        return not self._is_told_by_breaker(call) and not self._serves(call, guarded)

    def _serves(self, call: ast.Call, guarded: Iterable[ast.AST]) -> bool:
        """Say whether a call is part of a guarded one: in a function that is called there, or that logs in for it."""
        around = [one for one in self.breakers.places.around(call) if not isinstance(one, ast.ClassDef)]
        within = {self.module.function(one) for one in guarded}
        called = {last_name(one.func) for function in within for one in self.module.calls_in(function)}
        return any(one.name in called or mentions(one.name, _HANDSHAKE) for one in around)

    def _is_own(self, call: ast.Call) -> bool:
        """Say whether a function calls itself, or its namesake of a base class."""
        return any(one.name == last_name(call.func) for one in self.breakers.places.around(call))

    def _is_definition(self, call: ast.Call) -> bool:
        """Say whether a call makes a decorator and no request: `@fetch(...)`."""
        parent = self.module.parents[call]
        return isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)

    def _is_told_by_breaker(self, call: ast.Call) -> bool:
        """Say whether a branch asks for a breaker or its switch: that is for another rule, or fine."""
        for around in self.module.ancestors(call):
            body = around.body if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) else [around]
            if any(isinstance(one, ast.If | ast.IfExp) and _speaks_of_breaker(one.test) for one in body):
                return True
        return False

    def _is_guarded_name(self, node: ast.expr) -> bool:
        name = last_name(node)
        if name in self.breakers.decorated:
            return True
        bound = self.breakers.names.values(node)
        return any(value is call for value in bound for call, _ in self.breakers.guarding_calls)

    def _is_blamed(self, node: ast.AST) -> bool:
        return not self.breakers.places.is_left_alone(node)


def _targets(target: ast.expr) -> list[ast.expr]:
    """Return the functions that a breaker is handed: a name, the call of a lambda, the first argument of partial."""
    match target:
        case ast.Lambda(body=ast.Call(func=func)) | ast.Lambda(body=ast.Await(value=ast.Call(func=func))):
            return [func]
        case ast.Call(func=func, args=[first, *_]) if last_name(func) == "partial":
            return [first]
        case ast.Name() | ast.Attribute():
            return [target]
        case _:
            return []


def _called_in(body: list[ast.stmt]) -> list[ast.Call]:
    """Return the calls that the statements of a block are: `return await fetch()`, `page = fetch()`."""
    found = []
    for statement in body:
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Await):
            value = value.value
        if isinstance(value, ast.Call):
            found.append(value)
    return found[:1] if len(body) == 1 else []


def _speaks_of_breaker(test: ast.expr) -> bool:
    names = [last_name(node) for node in walk(test) if isinstance(node, ast.Name | ast.Attribute)]
    return any(names_breaker(name) or switch_polarity(name) is not None for name in names)
