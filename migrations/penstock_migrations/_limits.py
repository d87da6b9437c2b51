"""Recognises what already limits: semaphores and limiters, held by the function that does the work."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._module import Function
from penstock_migrations._reaching import Reaching, last_name, own_nodes
from penstock_migrations._vocabulary import ENDLESS, LIMITER, mentions, words

__all__ = ["FunctionFacts", "Limits"]

_CLASSES = frozenset({"Semaphore", "BoundedSemaphore", "CapacityLimiter", "Limiter", "AsyncLimiter", "RateLimiter"})
_PEERS = frozenset({"Barrier", "Condition", "Event"})


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """What one function tells its callers' audit.

    Attributes:
        limits: It does its work under a limiter that it shares with other calls.
        endless: It may never end, or waits for its peers.
        calls: References of the functions it awaits.
    """

    limits: bool
    endless: bool
    calls: tuple[str, ...]


class Limits:
    """Answers what in one module limits, and what never ends."""

    def __init__(self, names: Reaching) -> None:
        self.names = names
        self.module = names.module

    def is_limited_call(self, call: ast.Call) -> bool:
        """Say whether a call is handed a shared limiter, or is one of a limiter by name where nothing else is seen."""
        if self._makes_limiter(call):
            return False
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            inner = argument.value if isinstance(argument, ast.Starred) else argument
            if self._is_shared(inner, None) or (isinstance(inner, ast.Call) and self.is_limited_call(inner)):
                return True
        if isinstance(call.func, ast.Call):
            return self.is_limited_call(call.func)
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if isinstance(call.func, ast.Attribute) and self._is_shared(call.func.value, None):
            return True
        return mentions(name, LIMITER) and not self.names.functions(call)

    def facts(self, function: Function) -> FunctionFacts:
        """Look at one function."""
        nodes = list(own_nodes(function))
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        return FunctionFacts(
            limits=any(self._holds(node, function) for node in nodes)
            or any(map(self._is_limiting_decorator, function.decorator_list)),
            endless=self._is_endless(function, nodes),
            calls=tuple(dict.fromkeys(ref for call in calls for ref in self.references(call))),
        )

    def references(self, call: ast.Call) -> list[str]:
        """Return references of what a call runs, to be looked up in this module (`:Class.method`) or in others."""
        if (
            self.module.qualified(call.func) in {"functools.partial", "asyncio.wait_for", "asyncio.shield"}
            and call.args
        ):
            inner = call.args[0]
            return self.references(inner) if isinstance(inner, ast.Call) else self._reference(inner)
        if isinstance(call.func, ast.Call):
            return self.references(call.func)
        return self._reference(call.func)

    def class_references(self, node: ast.expr) -> list[str]:
        """Return references of the class that an annotation, a base or a call names."""
        match node:
            case ast.BinOp(left=left, op=ast.BitOr()):
                return self.class_references(left)
            case ast.Constant(value=str() as name):
                return (
                    [f":{name}"]
                    if name in self.module.classes
                    else [self.module.imports[name]]
                    if name in self.module.imports
                    else []
                )
            case ast.Name(id=name) if name in self.module.classes:
                return [f":{name}"]
            case _:
                found = self.module.qualified(node)
                return [found] if found is not None else []

    def _reference(self, func: ast.expr) -> list[str]:
        if (imported := self.module.qualified(func)) is not None:
            return [imported]
        match func:
            case ast.Name(id=name):
                return [f":{self.module.qualname(found)}" for found in self.module.function_named(name, func)[:1]]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                around = self.module.qualname(self.module.class_around(func))
                return [f":{around}.{name}"] if around else []
            case ast.Attribute(value=owner, attr=name):
                return [f"{made}.{name}" for made in self._types(owner)]
            case _:
                return []

    def _types(self, node: ast.expr) -> list[str]:
        """Return references of the classes that an object may be of, by what it is bound or annotated to."""
        match node:
            case ast.Name(id=name):
                _, found = self.names.bindings(name, node)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                found = self.module.attribute_bindings(name, node)
            case ast.Call():
                return self.class_references(node.func)
            case _:
                return []
        types: list[str] = []
        for binding in found[:4]:
            if isinstance(annotation := getattr(binding.node, "annotation", None), ast.expr):
                types += self.class_references(annotation)
            elif isinstance(binding.value, ast.Call):
                types += self.class_references(binding.value.func)
            elif isinstance(binding.value, ast.Name) and binding.value is not node and binding.kind == "value":
                types += self._types(binding.value) if isinstance(node, ast.Attribute) else []
        return types

    # -- limiters ---------------------------------------------------------------------------------------------------

    def _holds(self, node: ast.AST, function: Function) -> bool:
        """Say whether a node takes a limiter: `async with semaphore`, `await limiter.acquire()`."""
        match node:
            case ast.With(items=items) | ast.AsyncWith(items=items):
                held = any(self._is_shared(item.context_expr, function) for item in items)
            case ast.Call(
                func=ast.Attribute(
                    value=limiter, attr="acquire" | "acquire_nowait" | "acquire_on_behalf_of" | "try_acquire"
                )
            ):
                held = self._is_shared(limiter, function)
            case _:
                return False
        return held and not self._is_optional(node, function)

    def _is_shared(self, node: ast.expr, function: Function | None) -> bool:
        """Say whether an expression is a limiter that more than one call shares."""
        if isinstance(node, ast.Call):
            return not self._makes_limiter(node) and self._is_named_limiter(node.func)
        if not self._is_limiter(node):
            return False
        return function is None or not self._is_made_in(node, function)

    def _is_limiter(self, node: ast.expr) -> bool:
        return self._is_named_limiter(node) or any(self._makes_limiter(value) for value in self._values(node))

    def _is_named_limiter(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return mentions(name, LIMITER) and not mentions(name, frozenset({"max", "num", "size", "count"}))
            case ast.Attribute(value=owner, attr=name):
                return mentions(name, LIMITER) or (name not in {"acquire", "release"} and self._is_named_limiter(owner))
            case ast.Subscript(value=owner):
                return self._is_named_limiter(owner)
            case _:
                return False

    def _makes_limiter(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return False
        name = self.module.qualified(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")
        return name.rpartition(".")[2] in _CLASSES

    def _values(self, node: ast.expr) -> Iterator[ast.expr]:
        match node:
            case ast.Name(id=name):
                _, found = self.module.bindings(name, node)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                found = self.module.attribute_bindings(name, node)
            case _:
                return
        for binding in found:
            if binding.value is None or binding.kind != "value":
                continue
            yield from binding.value.values if isinstance(binding.value, ast.BoolOp) else [binding.value]

    def _is_made_in(self, node: ast.expr, function: Function) -> bool:
        """Say whether the function makes the limiter itself, for each call anew."""
        if not isinstance(node, ast.Name):
            return False
        scope, found = self.module.bindings(node.id, node)
        made = [binding.value for binding in found if binding.kind == "value" and binding.value is not None]
        return scope is function and bool(made) and all(self._makes_limiter(value) for value in made)

    def _is_optional(self, node: ast.AST, function: Function) -> bool:
        """Say whether a test of the limiter itself, or of its absence, stands around, so that it may be left out."""
        for around in self.module.ancestors(node):
            if around is function:
                return False
            if isinstance(around, ast.If) and any(
                isinstance(part, ast.Name | ast.Attribute) and self._is_limiter(part) for part in ast.walk(around.test)
            ):
                return True
        return False

    def _is_limiting_decorator(self, node: ast.expr) -> bool:
        return self._is_named_limiter(node.func if isinstance(node, ast.Call) else node)

    # -- what never ends --------------------------------------------------------------------------------------------

    def is_endless(self, call: ast.Call) -> bool:
        """Say whether what a call starts may never end, or waits for its peers."""
        if functions := self.names.functions(call):
            return any(self.facts(function).endless for function in functions)
        return mentions(last_name(call.func), ENDLESS) or self._waits_for_peers(call)

    def _is_endless(self, function: Function, nodes: list[ast.AST]) -> bool:
        waits = any(isinstance(node, ast.Await) and self._waits_for_peers(node.value) for node in nodes)
        return waits or any(isinstance(node, ast.While) and self._runs_on(function, node) for node in nodes)

    def _waits_for_peers(self, node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="wait")):
                return self._is_one_of(owner, _PEERS)
            case ast.Call(func=ast.Attribute(attr="join"), args=[]):
                return True
            case _:
                return False

    def _is_one_of(self, node: ast.expr, classes: frozenset[str]) -> bool:
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        known = {word for one in classes for word in words(one)}
        return mentions(name, frozenset(known)) or any(
            isinstance(value, ast.Call) and last_name(value.func) in classes for value in self._values(node)
        )

    def _runs_on(self, function: Function, loop: ast.While) -> bool:
        """Say whether a loop runs until it is cancelled, or takes its work from a queue that others fill."""
        nodes = list(own_nodes(loop))
        leaves = any(isinstance(node, ast.Return | ast.Break) for node in nodes)
        if isinstance(loop.test, ast.Constant) and loop.test.value and not leaves:
            return True
        return any(isinstance(node, ast.Await) and self._takes(function, node.value) for node in nodes)

    def _takes(self, function: Function, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="recv" | "receive" | "accept" | "get"), args=[]):
                scope, _ = self.module.bindings(owner.id, owner) if isinstance(owner, ast.Name) else (None, [])
                given = isinstance(owner, ast.Name) and owner.id in {one.arg for one in function.args.args}
                return given or scope is not function
            case _:
                return False
