"""Recognises what already limits: semaphores and limiters, held by the function that does the work."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function
from penstock_migrations._code.reaching import Reaching, last_name
from penstock_migrations._code.references import References
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import LIMITER, LIMITING, mentions, vocabulary

__all__ = ["Limits"]

_CLASSES = frozenset({"Semaphore", "BoundedSemaphore", "CapacityLimiter", "Limiter", "AsyncLimiter", "RateLimiter"})
_LOCKS = frozenset({"Lock", "RLock", "Condition"})
_LOCK = LIMITER | vocabulary("lock mutex")
_CONNECTIONS = frozenset({"limit", "limit_per_host", "max_connections"})
_TAKING = ("acquire", "acquire_nowait", "acquire_on_behalf_of", "try_acquire")
_NUMBERS = frozenset({"max", "num", "size", "count"})
_TURNING = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


class Limits:
    """Answers what in one module limits."""

    def __init__(self, names: Reaching) -> None:
        self.names = names
        self.module = names.module
        self.references = References(names)

    def is_limited_call(self, call: ast.Call) -> bool:
        """Say whether a call is handed a shared limiter, or is one of a limiter by name where nothing else is seen."""
        if self._makes_limiter(call):
            return False
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            inner = argument.value if isinstance(argument, ast.Starred) else argument
            if (isinstance(inner, ast.Call) and self.is_limited_call(inner)) or self._is_limited_client(inner):
                return True
            if self._is_handed_over(inner) and not self._is_made_in_turn(inner, call):
                return True
        if isinstance(call.func, ast.Call):
            return self.is_limited_call(call.func)
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if owner is not None and (self._is_handed_over(owner) or self._is_limited_client(owner)):
            return True
        return mentions(last_name(call.func), LIMITING) and not self.names.functions(call)

    def holds_limiter(self, function: Function) -> bool:
        """Say whether a function does its work under a limiter that it shares with other calls."""
        decorated = any(map(self._is_limiting_decorator, function.decorator_list))
        taking = [call for call in self.module.calls_of(*_TAKING) if self.module.function(call) is function]
        return decorated or any(self._holds(node, function) for node in (*self.module.blocks_in(function), *taking))

    def holds_lock(self, node: ast.AST) -> bool:
        """Say whether a node is a block that is run under a lock, or something else that lets in few at a time."""
        if not isinstance(node, ast.With | ast.AsyncWith):
            return False
        entered = [item.context_expr for item in node.items]
        entered = [one.func if isinstance(one, ast.Call) else one for one in entered]
        return any(_is_called(one, _LOCK) or self._is_limiter(one) or self._makes(one, _LOCKS) for one in entered)

    def _holds(self, node: ast.AST, function: Function) -> bool:
        """Say whether a node takes a limiter: `async with semaphore`, `await limiter.acquire()`."""
        match node:
            case ast.With(items=items) | ast.AsyncWith(items=items):
                held = any(self._is_shared(item.context_expr, function) for item in items)
            case ast.Call(func=ast.Attribute(value=limiter)):
                held = self._is_shared(limiter, function)
            case _:
                return False
        return held and not self._is_optional(node, function)

    def _is_handed_over(self, node: ast.expr) -> bool:
        """Say whether an expression is an object that limits."""
        if isinstance(node, ast.Call):
            return not self._makes_limiter(node) and _is_called(node.func, LIMITER)
        return _is_called(node, LIMITER) or any(self._makes_limiter(value) for value in self.names.values(node))

    def _is_shared(self, node: ast.expr, function: Function) -> bool:
        """Say whether what a function enters or acquires is a limiter that its calls share."""
        if isinstance(node, ast.Call):
            return not self._makes_limiter(node) and _is_called(node.func, LIMITING)
        return self._is_limiter(node) and not self._is_made_in(node, function)

    def _is_limiter(self, node: ast.expr) -> bool:
        return _is_called(node, LIMITING) or any(self._makes_limiter(value) for value in self.names.values(node))

    def _is_limited_client(self, node: ast.expr) -> bool:
        """Say whether an object is an HTTP client that was made with a limit of its connections."""
        return any(
            isinstance(part, ast.keyword)
            and part.arg in _CONNECTIONS
            and not (isinstance(part.value, ast.Constant) and not part.value.value)
            for value in self.names.values(node)
            if isinstance(value, ast.Call)
            for setting in value.keywords
            if setting.arg in {"connector", "limits"}
            for part in walk(setting.value)
        )

    def _makes_limiter(self, node: ast.expr) -> bool:
        return self.names.called(node).rpartition(".")[2] in _CLASSES

    def _makes(self, node: ast.expr, classes: frozenset[str]) -> bool:
        return any(last_name(value) in classes for value in self.names.values(node) if isinstance(value, ast.Call))

    def _is_made_in_turn(self, node: ast.expr, call: ast.Call) -> bool:
        """Say whether a limiter is made anew in each turn of the loop that makes the call."""
        _, found = self.module.bindings(node.id, node) if isinstance(node, ast.Name) else (None, [])
        loop = next((one for one in self.module.ancestors(call) if isinstance(one, _TURNING)), None)
        if not isinstance(loop, ast.For | ast.AsyncFor | ast.While):
            return False  # a comprehension's turns make nothing
        made = [one.node for one in found if one.value is not None and self._makes_limiter(one.value)]
        return bool(made) and all(self.module.contains(loop, one) for one in made)

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
                isinstance(part, ast.Name | ast.Attribute) and self._is_limiter(part) for part in walk(around.test)
            ):
                return True
        return False

    def _is_limiting_decorator(self, node: ast.expr) -> bool:
        return _is_called(node.func if isinstance(node, ast.Call) else node, LIMITING)


def _is_called(node: ast.expr, vocabulary: frozenset[str]) -> bool:
    """Say whether a dotted name, or an item of one, is called as in a vocabulary, and is no number."""
    match node:
        case ast.Name(id=name):
            return mentions(name, vocabulary) and not mentions(name, _NUMBERS)
        case ast.Attribute(value=owner, attr=name):
            return mentions(name, vocabulary) or (name not in {"acquire", "release"} and _is_called(owner, vocabulary))
        case ast.Subscript(value=owner):
            return _is_called(owner, vocabulary)
        case _:
            return False
