"""`Breakers`: which expressions of a module are circuit breakers, and which functions they guard."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cached_property

from penstock_migrations._breakers.places import Places
from penstock_migrations._breakers.words import CHECKS, GUARDS, names_breaker
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes
from penstock_migrations._code.vocabulary import words

__all__ = ["FACTORIES", "LIBRARIES", "Breakers"]

LIBRARIES = frozenset(
    [
        "pybreaker",
        "aiobreaker",
        "purgatory",
        "circuitbreaker",
        "hyx",
        "aiocircuitbreaker",
        "lasier",
        "fluxgate",
        "aioresilience",
        "pyresilience",
        "resilient_circuit",
        "cirbreak",
        "interlock",
    ]
)
FACTORIES = frozenset({"circuit", "consecutive_breaker"})
_MADE = ("breaker", "circuitbreaker", "config", "option", "policy", "setting")
_KINDS = (ast.Assign, ast.AnnAssign, ast.If, ast.IfExp, ast.Dict, ast.Attribute, ast.keyword)


class Breakers:
    """The circuit breakers of one module; made once for all rules of the issue."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)
        self.places = Places(module)
        self._nodes: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in module.parents:
            if isinstance(node, _KINDS):
                self._nodes[type(node)].append(node)

    def nodes(self, *kinds: type[ast.AST]) -> list[ast.AST]:
        """Return the nodes of some kinds; those the rules ask for were put aside in one pass."""
        return [node for kind in kinds for node in self._nodes[kind]]

    # -- what is a breaker ----------------------------------------------------------------------------------------

    def is_breaker(self, node: ast.expr) -> bool:
        """Say whether an expression is a circuit breaker: by its name, or by what it is bound to."""
        if isinstance(node, ast.Await):
            return self.is_breaker(node.value)
        if isinstance(node, ast.Subscript):
            return self.is_breaker(node.value)
        if isinstance(node, ast.Call):
            return self.makes_breaker(node) or self._hands_out(node)
        name = last_name(node)
        if names_breaker(name) and not name.isupper():
            return True
        return any(self.makes_breaker(value) or self._hands_out(value) for value in self.names.values(node))

    def makes_breaker(self, node: ast.AST) -> bool:
        """Say whether a call makes a breaker: a class so named, or a factory or decorator of a library of breakers."""
        if not isinstance(node, ast.Call):
            return False
        qualified = self.module.qualified(node.func) or ""
        name = qualified.rpartition(".")[2] or last_name(node.func)
        if qualified.partition(".")[0] in LIBRARIES:
            return names_breaker(name) or name in FACTORIES
        return names_breaker(name) and words(name)[-1] in _MADE and (name[:1].isupper() or name.endswith("breaker"))

    def is_breaker_class(self, node: ast.expr) -> bool:
        """Say whether an expression is a class of breakers, by its name: `pybreaker.CircuitBreaker`."""
        name = (self.module.qualified(node) or last_name(node)).rpartition(".")[2]
        return names_breaker(name) and name[:1].isupper() and not name.isupper()

    def _hands_out(self, node: ast.AST) -> bool:
        """Say whether a call returns a breaker: `get_breaker("mail")`, `registry.breaker_for(name)`."""
        if not isinstance(node, ast.Call):
            return False
        name = last_name(node.func)
        if name in ("get", "get_or_create") and isinstance(node.func, ast.Attribute):
            return names_breaker(last_name(node.func.value))
        return names_breaker(name) and name.lower().lstrip("_").startswith(
            ("get_", "make_", "create_", "breaker", "circuit")
        )

    # -- what is guarded ------------------------------------------------------------------------------------------

    def is_guarding_decorator(self, node: ast.expr) -> bool:
        """Say whether a decorator is a breaker: `@breaker`, `@circuit(...)`, `@breaker.decorate`."""
        inner = node.func if isinstance(node, ast.Call) else node
        if isinstance(inner, ast.Attribute) and inner.attr in GUARDS and self.is_breaker(inner.value):
            return True
        qualified = self.module.qualified(inner) or ""
        if qualified.partition(".")[0] in LIBRARIES and qualified.rpartition(".")[2] in FACTORIES:
            return True
        return self.is_breaker(node) or names_breaker(last_name(inner))

    @cached_property
    def decorated(self) -> dict[str, list[Function]]:
        """The functions of the module that a breaker decorates, by name."""
        found: dict[str, list[Function]] = defaultdict(list)
        for functions in self.module.functions.values():
            for function in functions:
                if any(self.is_guarding_decorator(one) for one in function.decorator_list):
                    found[function.name].append(function)
        return found

    @cached_property
    def guarding_calls(self) -> list[tuple[ast.Call, ast.expr]]:
        """The calls that run or wrap a function under a breaker, each with that function."""
        guarding = [call for call in self.module.calls if call.args and self._guards(call)]
        return [(call, _function_given(call)) for call in guarding]

    def is_under_breaker(self, node: ast.AST) -> bool:
        """Say whether a node runs under a breaker: in its context, in what it is given, in a guarded function."""
        for around in self.module.ancestors(node):
            if isinstance(around, ast.With | ast.AsyncWith) and any(
                self.enters_breaker(item.context_expr) for item in around.items
            ):
                return True
            if isinstance(around, ast.Call) and any(around is call for call, _ in self.guarding_calls):
                return True
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and self.is_guarded(around):
                return True
        return False

    def is_guarded(self, function: Function) -> bool:
        """Say whether a function runs under a breaker: decorated, handed to one, or asking one for leave itself."""
        if function in self.decorated.get(function.name, ()) or function.name in self._guarded_names:
            return True
        return any(self.asks(node) for node in own_nodes(function))

    def asks(self, node: ast.AST) -> bool:
        """Say whether a node is a call that asks a breaker for leave, or tells it what came of it."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return False
        owner = node.func.value
        if node.func.attr in CHECKS and (self.is_breaker(owner) or names_breaker(last_name(owner), short=True)):
            return True
        return names_breaker(node.func.attr) and node.func.attr.lstrip("_").startswith(("check", "record", "ensure"))

    def enters_breaker(self, node: ast.expr) -> bool:
        """Say whether a context is a breaker's: `with breaker`, `async with breaker.calling()`."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and self.is_breaker(node.func.value):
            return True
        return self.is_breaker(node)

    @cached_property
    def _guarded_names(self) -> frozenset[str]:
        """The names of functions that are handed to a breaker, or called within what is handed to it."""
        names = set()
        for _, target in self.guarding_calls:
            names |= {last_name(target)} if not isinstance(target, ast.Lambda) else set()
        return frozenset(names - {""})

    def _guards(self, call: ast.Call) -> bool:
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr in GUARDS:
            return self.is_breaker(func.value)
        if _is_helper(last_name(func)):
            return True
        if isinstance(func, ast.Call):  # CircuitBreaker(...)(fetch)
            return self.makes_breaker(func)
        if self.is_breaker_class(func) or not isinstance(func, ast.Name | ast.Attribute):
            return False
        return self.is_breaker(func) and self._wraps(call)

    def _wraps(self, call: ast.Call) -> bool:
        """Say whether a breaker, not a function about one, is called with one function alone: `breaker(fetch)`."""
        name = last_name(call.func)
        if names_breaker(name) and words(name)[-1] not in ("breaker", "circuitbreaker"):
            return False
        if words(name)[:1] in (("get",), ("make",), ("create",)):
            return False
        return len(call.args) == 1 and not call.keywords and isinstance(call.args[0], ast.Name | ast.Attribute)


def _is_helper(name: str) -> bool:
    """Say whether a function runs another under a breaker, by its name: `_execute_with_circuit_breaker`."""
    return names_breaker(name) and "with" in words(name) and name.islower() and not name.startswith("test_")


def _function_given(call: ast.Call) -> ast.expr:
    """Return what a call runs: its first argument that may be a function."""
    return next((one for one in call.args if isinstance(one, ast.Name | ast.Attribute | ast.Lambda)), call.args[0])
