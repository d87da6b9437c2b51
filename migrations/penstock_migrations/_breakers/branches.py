"""`Branches`: where a caller, a setting or the environment decides that a call goes past a circuit breaker."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.places import is_audited
from penstock_migrations._breakers.words import STATE_SWITCHES, is_off, switch_polarity
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations.rule import Severity

__all__ = ["Branches", "Switch", "parameter_default"]


@dataclass(frozen=True, slots=True)
class Switch:
    """A place where a breaker is switched off.

    Attributes:
        node: The expression or statement that does it.
        what: What it says there: `use_breaker=False`.
        severity: How much it matters.
    """

    node: ast.expr | ast.stmt
    what: str
    severity: Severity


class Branches:
    """The branches of one module that pass a breaker by when a switch says so."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)

    def found(self) -> Iterator[Switch]:
        """Yield those that tell nobody."""
        for node in self.breakers.nodes(ast.If, ast.IfExp):
            if isinstance(node, ast.If | ast.IfExp) and (found := self._branch(node)) is not None:
                yield found

    def _branch(self, node: ast.If | ast.IfExp) -> Switch | None:
        function = self.module.function(node)
        switch = next(((one, on) for one, on in self._tested(node.test)), None)
        if function is None or switch is None:
            return None
        flag, runs_when_on = switch
        severity = self._severity(flag, function)
        if switch_polarity(last_name(flag)) is False and self._hears(node.test):
            return Switch(flag, ast.unparse(flag), severity)
        past = _past(node, runs_when_on, self._follows(node))
        if past is None:  # the switch only decides whether a breaker is asked
            if not self._asks_within(node) or severity is Severity.LOW or not self._is_callers(flag, function):
                return None
            past = []
        if is_audited(past) or (past and not self._calls_past(past, function)):
            return None
        return Switch(flag, ast.unparse(flag), severity)

    def is_where_on(self, node: ast.AST) -> bool:
        """Say whether a node runs only where a switch is seen to be on."""
        below = node
        for around in self.module.ancestors(node):
            if isinstance(around, ast.If) and below in around.body and any(on for _, on in self._tested(around.test)):
                return True
            below = around
        return False

    def _hears(self, test: ast.expr) -> bool:
        """Say whether a test has a breaker's answer in it as well: `not bypass and not breaker.allow_request()`."""
        return any(self._is_answer(node) for node in walk(test) if isinstance(node, ast.expr))

    def _is_answer(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            bound = self.breakers.names.values(node)
            return any(self.breakers.asks(one.value if isinstance(one, ast.Await) else one) for one in bound)
        return self.breakers.asks(node)

    def _tested(self, test: ast.expr) -> Iterator[tuple[ast.expr, bool]]:
        """Yield the switches of a test, and whether the body runs with the breaker on."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                yield from ((flag, not on) for flag, on in self._tested(inner))
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self._tested(value)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[ast.Constant() as given]):
                for flag, polarity in self._flag(left):
                    yield flag, not is_off(given, polarity)
            case _:
                for flag, polarity in self._flag(test):
                    yield flag, polarity

    def _flag(self, node: ast.expr) -> Iterator[tuple[ast.expr, bool]]:
        if isinstance(node, ast.Call):
            for arg in (
                node.args[:1] if last_name(node.func) in ("getenv", "get", "strtobool", "bool", "_env_bool") else ()
            ):
                yield from self._flag(arg)
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("lower", "strip"):
                yield from self._flag(node.func.value)
            return
        if isinstance(node, ast.Subscript):
            yield from self._flag(node.slice)
            return
        name = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else last_name(node)
        polarity = switch_polarity(name) if name.isidentifier() else None
        if isinstance(node, ast.Attribute) and name in STATE_SWITCHES and self.breakers.is_breaker(node.value):
            polarity = STATE_SWITCHES[name]
        if polarity is not None:
            yield node, polarity

    def _severity(self, flag: ast.expr, function: Function) -> Severity:
        """Say how much a switch in a branch matters: a caller's, or one that is off or unknown; advice if it is on."""
        name = last_name(flag)
        default = self._default(flag, function)
        polarity = switch_polarity(name)
        if isinstance(flag, ast.Name) and default is not None and polarity is False:
            return Severity.MEDIUM  # any caller may go past the breaker
        if default is not None and isinstance(default, ast.Constant) and polarity is not None:
            return Severity.MEDIUM if is_off(default, polarity) else Severity.LOW
        return Severity.MEDIUM

    def _default(self, flag: ast.expr, function: Function) -> ast.expr | None:
        """Return the default of a switch, where this module shows it: of a parameter, or of a class's field."""
        name = last_name(flag)
        if isinstance(flag, ast.Name):
            return parameter_default(function, name)
        wanted = {name, name.lstrip("_")}
        for functions in self.module.functions.values():
            for one in functions:
                for parameter in wanted:
                    if one.name == "__init__" and (found := parameter_default(one, parameter)) is not None:
                        return found
        for node in self.breakers.nodes(ast.AnnAssign):
            if isinstance(node, ast.AnnAssign) and last_name(node.target) in wanted and node.value is not None:
                return _field_default(node.value)
        return None

    def _follows(self, node: ast.If | ast.IfExp) -> list[ast.stmt]:
        parent = self.module.parents[node]
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and node in block:
                return block[block.index(node) + 1 :]
        return []

    def _is_callers(self, flag: ast.expr, function: Function) -> bool:
        """Say whether a switch is a parameter: what callers set, other than what is configured."""
        return isinstance(flag, ast.Name) and self._default(flag, function) is not None

    def _asks_within(self, node: ast.If | ast.IfExp) -> bool:
        return any(self.breakers.asks(inner) for inner in walk(node))

    def _calls_past(self, past: list[ast.stmt], function: Function) -> bool:
        """Say whether a branch makes a call, while its function uses a breaker besides."""
        inside = {inner for statement in past for inner in walk(statement)}
        makes = any(isinstance(inner, ast.Call) for inner in inside)
        others = [node for node in own_nodes(function) if node not in inside]
        return makes and not any(self._uses(one) for one in inside) and any(self._uses(one) for one in others)

    def _uses(self, node: ast.AST) -> bool:
        if isinstance(node, ast.With | ast.AsyncWith):
            return any(self.breakers.enters_breaker(item.context_expr) for item in node.items)
        if not isinstance(node, ast.Call):
            return False
        if self.breakers.asks(node) or any(node is call for call, _ in self.breakers.guarding_calls):
            return True
        return isinstance(node.func, ast.Attribute) and self.breakers.is_breaker(node.func.value)


def _past(node: ast.If | ast.IfExp, runs_when_on: bool, follows: list[ast.stmt]) -> list[ast.stmt] | None:
    """Return the statements that run with the breaker off, None where nothing but the test tells."""
    if isinstance(node, ast.IfExp):
        return [ast.Expr(node.orelse if runs_when_on else node.body)]
    if not runs_when_on:
        returns = any(isinstance(one, ast.Return) for one in node.body)
        return node.body if returns or node.orelse else None
    if node.orelse:
        return node.orelse
    ends = any(isinstance(one, ast.Return) for one in node.body)
    return follows if ends and follows else None


def parameter_default(function: Function, name: str) -> ast.expr | None:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults = dict(zip([one.arg for one in reversed(positional)], reversed(given.defaults), strict=False))
    keyword_only = {one.arg: value for one, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)}
    return (defaults | keyword_only).get(name)


def _field_default(value: ast.expr) -> ast.expr:
    """Return the default of a field: of `Field(True)` and `field(default=True)` what they are given."""
    if not isinstance(value, ast.Call):
        return value
    for keyword in value.keywords:
        if keyword.arg == "default":
            return keyword.value
    return value.args[0] if value.args else value
