"""`Forcing`: circuit breakers that are kept closed, by their state or by being closed by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.thresholds import Thresholds, is_huge, is_threshold, is_zero
from penstock_migrations._breakers.words import CHECKS, CLOSES, GUARDS, names_breaker
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, loops_around, start_of
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import words

__all__ = ["Forcing"]

_STATES = frozenset(["state", "_state", "current_state", "_current_state", "status", "_status"])
_COUNTS = frozenset(["fail", "failure", "error"])


class Forcing:
    """The breakers of one module that are kept closed; each is a node and what is said of it."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)
        self.places = self.breakers.places

    def found(self) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
        """Yield them all."""
        found: tuple[tuple[ast.expr | ast.stmt, str], ...] = (
            *self.module.analysis(Thresholds).found(),
            *self._set(),
            *self._closed(),
        )
        for node, said in found:
            if not self.places.is_left_alone(node):
                yield node, said

    # -- set so ---------------------------------------------------------------------------------------------------

    def _set(self) -> Iterator[tuple[ast.stmt, str]]:
        """Yield the assignments to a breaker's state, counter or threshold from outside of it."""
        for node in self.breakers.nodes(ast.Assign):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                if not isinstance(target, ast.Attribute) or not self.breakers.is_breaker(target.value):
                    continue
                if self._keeps_closed(target, node):
                    yield node, f"{ast.unparse(node)} keeps the breaker from opening"

    def _keeps_closed(self, target: ast.Attribute, node: ast.Assign) -> bool:
        if is_threshold(target.attr) and is_huge(node.value):
            return True
        closes = target.attr in _STATES and _says_closed(node.value)
        counts = not _COUNTS.isdisjoint(words(target.attr)) and is_zero(node.value)
        if (not closes and not counts) or self.places.is_administration(node):
            return False
        if self._is_state_machine(target):
            return False
        return closes or self._is_before_use(node, target.value)

    def _is_state_machine(self, target: ast.Attribute) -> bool:
        """Say whether the module keeps that breaker's states itself, opens it as well as it closes it."""
        owner = ast.unparse(target.value)
        return any(
            isinstance(node, ast.Assign)
            and "open" in ast.unparse(node.value).lower()
            and any(
                isinstance(one, ast.Attribute) and one.attr == target.attr and ast.unparse(one.value) == owner
                for one in node.targets
            )
            for node in self.breakers.nodes(ast.Assign)
        )

    # -- closed by hand -------------------------------------------------------------------------------------------

    def _closed(self) -> Iterator[tuple[ast.expr, str]]:
        for call in self.module.calls_of(*sorted(CLOSES)):
            func = call.func
            if not isinstance(func, ast.Attribute) or not self._is_closable(func.value):
                continue
            if self._is_routine(call, func.value):
                yield call, f"{ast.unparse(func)}() closes the breaker by hand"
        for call in self.module.calls:
            name = last_name(call.func)
            if names_breaker(name) and words(name)[0] in ("reset", "close") and self._is_refused(call):
                yield call, f"{name}() closes the breaker by hand"

    def _is_closable(self, owner: ast.expr) -> bool:
        return self.breakers.is_breaker(owner)

    def _is_routine(self, call: ast.Call, owner: ast.expr) -> bool:
        """Say whether a breaker is closed as a matter of routine: before each call, in each round, in a load test."""
        if self.places.is_performance(call):
            return True
        if self._is_after_success(call) or self._resets_all(call, owner):
            return False
        if self._is_in_handler(call):
            return True
        if self.places.is_administration(call):
            return False
        return self._is_before_use(call, owner)

    def _is_refused(self, call: ast.Call) -> bool:
        """Say whether a helper closes a breaker in a load test, or because it was open."""
        return self.places.is_performance(call) or self._is_in_handler(call)

    def _is_before_use(self, node: ast.AST, owner: ast.expr) -> bool:
        """Say whether something runs under the breaker after it is closed, in the same function or round."""
        function = self.module.function(node)
        if function is None:
            return False
        in_loop = bool(loops_around(self.module, node))
        for call in self.module.calls:
            if self.module.function(call) is not function or call is node or not self._runs(call, owner):
                continue
            if start_of(call) > start_of(node) or (in_loop and loops_around(self.module, call)):
                return True
        return self._is_before_context(node, function)

    def _is_before_context(self, node: ast.AST, function: Function) -> bool:
        """Say whether the function enters the breaker after the node."""
        blocks = self.module.blocks_in(function)
        items = [item for block in blocks if isinstance(block, ast.With | ast.AsyncWith) for item in block.items]
        return any(
            start_of(item) > start_of(node) and self.breakers.enters_breaker(item.context_expr) for item in items
        )

    def _runs(self, call: ast.Call, owner: ast.expr) -> bool:
        """Say whether a call runs something under the breaker."""
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr in GUARDS | (CHECKS - {"is_open", "is_closed"}):
            return ast.unparse(func.value) == ast.unparse(owner)
        if last_name(func) in self.breakers.decorated:
            return True
        return any(call is one for one, _ in self.breakers.guarding_calls)

    def _is_after_success(self, call: ast.Call) -> bool:
        """Say whether a half-open breaker is closed: that is what a success does."""
        for around in self.module.ancestors(call):
            if isinstance(around, ast.If) and "half" in ast.unparse(around.test).lower():
                return True
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
                return False
        return False

    def _is_in_handler(self, call: ast.Call) -> bool:
        """Say whether a breaker is closed because it was open: `except CircuitBreakerError: breaker.close()`."""
        for around in self.module.ancestors(call):
            if isinstance(around, ast.ExceptHandler) and around.type is not None:
                named = [last_name(one) for one in walk(around.type) if isinstance(one, ast.Name | ast.Attribute)]
                return any(names_breaker(name, short=True) for name in named)
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
                return False
        return False

    def _resets_all(self, call: ast.Call, owner: ast.expr) -> bool:
        """Say whether a loop goes over breakers to close each."""
        loops = loops_around(self.module, call)
        root = owner
        while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
            root = root.func if isinstance(root, ast.Call) else root.value
        names = {
            node.id
            for loop in loops
            if isinstance(loop, ast.For | ast.AsyncFor)
            for node in walk(loop.target)
            if isinstance(node, ast.Name)
        }
        return isinstance(root, ast.Name) and root.id in names


def _says_closed(value: ast.expr) -> bool:
    text = value.value if isinstance(value, ast.Constant) else last_name(value)
    return isinstance(text, str) and words(text)[-1:] == ("closed",)
