"""`Patches`: circuit breakers that are replaced at run time by something that lets everything through."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.stubs import Stubs, passes_through
from penstock_migrations._breakers.words import CHECKS, GUARDS, METHODS, names_breaker
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import words

__all__ = ["Patches"]

_STAND_INS = frozenset(
    [
        "noop",
        "null",
        "mock",
        "magic",
        "dummy",
        "fake",
        "passthrough",
        "pass",
        "stub",
        "nullcontext",
        "always",
        "identity",
    ]
)
_LIBRARY = frozenset({"CircuitBreaker", "circuit", "CircuitBreakerMonitor", "AsyncCircuitBreakerFactory"})


class Patches:
    """The places in one module where a breaker is patched away; each is a node and what is replaced."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)
        self.places = self.breakers.places

    def found(self) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
        """Yield them all."""
        for stub, name in self.module.analysis(Stubs).found():
            if not self.places.is_test(stub):
                yield stub, name
        for patch, what in chain[tuple[ast.expr | ast.stmt, str]](self._assigned(), self._patched()):
            if not self.places.is_left_alone(patch):
                yield patch, what

    def _assigned(self) -> Iterator[tuple[ast.stmt, str]]:
        """Yield the assignments: `CircuitBreaker.call = ...`, `client.breaker = NullBreaker()`."""
        for node in self.breakers.nodes(ast.Assign):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                if isinstance(target, ast.Attribute) and self._replaces(target, node.value):
                    yield node, ast.unparse(target)

    def _replaces(self, target: ast.Attribute, value: ast.expr) -> bool:
        owner = target.value
        if isinstance(owner, ast.Name) and owner.id in ("self", "cls"):
            return False
        if target.attr in METHODS and (self.breakers.is_breaker(owner) or self.breakers.is_breaker_class(owner)):
            return self._is_behaviour(target.attr, value)
        if not names_breaker(target.attr) and not self._is_library(target):
            return False
        return self._stands_in(value) or (_is_none(value) and self.places.is_performance(target))

    def _is_behaviour(self, attribute: str, value: ast.expr) -> bool:
        """Say whether a method is given another body: a lambda, a function, a mock."""
        if isinstance(value, ast.Lambda) or self._stands_in(value):
            return True
        return isinstance(value, ast.Name) and attribute in GUARDS | CHECKS and self._is_function(value)

    def _is_function(self, value: ast.Name) -> bool:
        return bool(self.module.function_named(value.id, value))

    def _is_library(self, target: ast.Attribute) -> bool:
        qualified = self.module.qualified(target) or ""
        return target.attr in _LIBRARY and names_breaker(qualified.replace(".", "_"))

    def _stands_in(self, value: ast.expr) -> bool:
        """Say whether a value lets everything through: a lambda, a mock, a function that does, a class so named."""
        if isinstance(value, ast.Lambda):
            return True
        if isinstance(value, ast.Name) and any(map(passes_through, self.module.function_named(value.id, value))):
            return True
        return not _STAND_INS.isdisjoint(words(last_name(value).replace("NoOp", "Noop").replace("no_op", "noop")))

    def _patched(self) -> Iterator[tuple[ast.expr, str]]:
        """Yield what monkeypatch, mock and setattr replace; in load tests, and in what is no test."""
        for call in self.module.calls_of("setattr", "patch", "object", "delattr"):
            if (what := self._target(call)) is not None:
                yield call, what

    def _target(self, call: ast.Call) -> str | None:
        name = last_name(call.func)
        match call.args:
            case [ast.Constant(value=str(path)), *_] if name in ("patch", "setattr"):
                return path if self._is_breaker_path(path) else None
            case [owner, ast.Constant(value=str(attribute)), *rest] if self._is_patching(call):
                if name == "setattr" and isinstance(call.func, ast.Name) and not self._lets_through(rest):
                    return None
                return f"{ast.unparse(owner)}.{attribute}" if self._is_breakers(owner, attribute) else None
            case _:
                return None

    def _is_patching(self, call: ast.Call) -> bool:
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr == "object":
            return last_name(func.value) in ("patch", "mocker")
        return last_name(func) in ("setattr", "delattr")

    def _lets_through(self, rest: list[ast.expr]) -> bool:
        return bool(rest) and (
            self._stands_in(rest[0]) or (isinstance(rest[0], ast.Name) and self._is_function(rest[0]))
        )

    def _is_breakers(self, owner: ast.expr, attribute: str) -> bool:
        if isinstance(owner, ast.Name) and owner.id == "self":
            return False
        if attribute in METHODS:
            return self.breakers.is_breaker(owner) or self.breakers.is_breaker_class(owner)
        return names_breaker(attribute) or (attribute in _LIBRARY and names_breaker(ast.unparse(owner)))

    def _is_breaker_path(self, path: str) -> bool:
        """Say whether a dotted text names a breaker or one of its methods: `app.http.CircuitBreaker.call`."""
        parts = path.split(".")
        if names_breaker(parts[-1]):
            return (
                not {"get", "log", "logger", "metric", "metrics", "error"} & set(words(parts[-1])) or "get" in parts[-1]
            )
        if len(parts) > 1 and parts[-1] in METHODS:
            return names_breaker(parts[-2])
        return len(parts) > 1 and parts[-1] in _LIBRARY and names_breaker(parts[-2])


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
