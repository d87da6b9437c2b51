"""`Stubs`: functions and classes that take a circuit breaker's place and let everything through."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._breakers.breakers import FACTORIES, LIBRARIES
from penstock_migrations._breakers.places import is_audited
from penstock_migrations._breakers.words import GUARDS, names_breaker
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name

__all__ = ["Stubs", "passes_through"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MISSING = ("ImportError", "ModuleNotFoundError")


class Stubs:
    """The stand-ins of one module for a breaker whose library is missing, of which nobody is told."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def found(self) -> Iterator[tuple[ast.stmt, str]]:
        """Yield each stand-in and its name."""
        for tried in {self.module.parents[node] for node in self.module.parents if isinstance(node, ast.ExceptHandler)}:
            if isinstance(tried, ast.Try) and _imports_breaker(tried.body):
                for handler in tried.handlers:
                    yield from self._within(handler)

    def _within(self, handler: ast.ExceptHandler) -> Iterator[tuple[ast.stmt, str]]:
        if handler.type is None or last_name(handler.type) not in _MISSING or is_audited(handler.body):
            return
        for statement in handler.body:
            if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)) and _stands_in(statement):
                yield statement, statement.name


def passes_through(function: Function, outer: frozenset[str] = frozenset()) -> bool:
    """Say whether all that a function does is to return or call what it is given; or to return one that does.

    Args:
        function: The function.
        outer: What the functions around it were given.
    """
    given = outer | {arg.arg for arg in (*function.args.posonlyargs, *function.args.args)} - {"self"}
    inner = {one.name: one for one in function.body if isinstance(one, _FUNCTIONS)}
    match [one for one in function.body if not isinstance(one, _FUNCTIONS) and not _is_docstring(one)]:
        case [ast.Return(value=value)]:
            name = _root(value)
            return name in given or (name in inner and passes_through(inner[name], given))
        case _:
            return False


def _root(value: ast.expr | None) -> str:
    """Return the name that is returned, called, or called and awaited."""
    value = value.value if isinstance(value, ast.Await) else value
    value = value.func if isinstance(value, ast.Call) else value
    return value.id if isinstance(value, ast.Name) else ""


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _stands_in(found: Function | ast.ClassDef) -> bool:
    if not names_breaker(found.name) and found.name not in FACTORIES:
        return False
    if not isinstance(found, ast.ClassDef):
        return passes_through(found)
    methods = [one for one in found.body if isinstance(one, _FUNCTIONS)]
    return any(one.name in GUARDS | {"__call__"} and passes_through(one) for one in methods)


def _imports_breaker(body: list[ast.stmt]) -> bool:
    """Say whether a block imports a library of breakers, or a name of a breaker."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            home = statement.module if isinstance(statement, ast.ImportFrom) else None
            names = [home or "", *(alias.name for alias in statement.names)]
            if any(name.partition(".")[0] in LIBRARIES or names_breaker(name.rpartition(".")[2]) for name in names):
                return True
    return False
