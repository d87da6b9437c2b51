"""Says when the body of a function runs: when it is called, when it is iterated, once and never again, or not here."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import mentions, vocabulary

__all__ = ["ITERATED", "ONCE", "is_for_development", "is_iterated", "is_told_not_to_wait", "runs"]

ITERATED = "iterated"  # a generator: calling it runs nothing
ONCE = "once"  # its only result is cached
_CACHES = frozenset({"cache", "cached", "lru_cache"})
_DEVELOPMENT = vocabulary("debug debugging dev development")
_WAITING = frozenset({"block", "blocking", "wait"})
_ITERATING = frozenset(
    {"all", "any", "dict", "enumerate", "frozenset", "join", "list", "max", "min", "next", "set", "sorted", "sum"}
    | {"tuple", "zip"}
)


class _Development:
    """The `if` statements that ask whether the program is being developed."""

    def __init__(self, module: Module) -> None:
        self.asked = frozenset[ast.AST](one for one in module.ifs if _asks_for_development(one.test))


class _Generators:
    """The functions that yield."""

    def __init__(self, module: Module) -> None:
        self.functions = {module.function(one) for one in module.yields}


class _HandedOn:
    """The names that are handed to calls, function by function."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._names: dict[Function | None, frozenset[str]] = {}

    def names(self, function: Function | None) -> frozenset[str]:
        """Return the names that a function hands to calls, not those that it hands to what iterates."""
        if function not in self._names:
            self._names[function] = frozenset(
                each.id
                for call in self._module.calls_in(function)
                for each in (*call.args, *(keyword.value for keyword in call.keywords))
                if isinstance(each, ast.Name) and last_name(call.func) not in _ITERATING
            )
        return self._names[function]


def runs(module: Module, function: Function) -> str:
    """Say when the body of a function runs: `iterated`, `once`, or "" for each time that it is called."""
    decorators = [last_name(one) for one in function.decorator_list]
    if function in module.analysis(_Generators).functions:
        return "" if any("contextmanager" in one for one in decorators) else ITERATED
    arguments = function.args
    given = arguments.posonlyargs or arguments.args or arguments.kwonlyargs or arguments.vararg or arguments.kwarg
    return ONCE if not given and not _CACHES.isdisjoint(decorators) else ""


def is_iterated(module: Module, call: ast.Call) -> bool:
    """Say whether what a call returns is iterated in its function, or gets a name that is handed to nobody else."""
    parent = module.parents.get(call)
    match parent:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name not in module.analysis(_HandedOn).names(module.function(call))
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated):
            return iterated is call
        case ast.YieldFrom() | ast.Starred():
            return True
        case ast.Call(func=func):
            return call in parent.args and last_name(func) in _ITERATING
        case _:
            return False


def is_told_not_to_wait(call: ast.Call) -> bool:
    """Say whether a call is told not to wait: `lock(path, blocking=False)`."""
    for one in call.keywords:
        if one.arg in _WAITING and isinstance(one.value, ast.Constant) and one.value.value is False:
            return True
    return False


def is_for_development(module: Module, node: ast.AST) -> bool:
    """Say whether a node runs only where a flag says that the program is being developed: `if settings.DEBUG:`."""
    if not (asked := module.analysis(_Development).asked):
        return False
    inner = node
    for around in module.ancestors(node):
        if around in asked and isinstance(around, ast.If) and inner in around.body:
            return True
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        inner = around
    return False


def _asks_for_development(test: ast.expr) -> bool:
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    return any(isinstance(one, ast.Name | ast.Attribute) and mentions(last_name(one), _DEVELOPMENT) for one in parts)
