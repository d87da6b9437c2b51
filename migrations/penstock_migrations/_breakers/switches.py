"""`Switches`: where a circuit breaker is switched off: by an argument, a setting, the environment, a branch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.places import is_audited
from penstock_migrations._breakers.words import REPORTS, is_off, names_breaker, switch_polarity
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.vocabulary import mentions, words
from penstock_migrations.rule import Severity

__all__ = ["Switch", "Switches"]

_STATE_SWITCHES = {"enabled": True, "is_enabled": True, "active": True, "disabled": False, "bypass": False}
_SWITCHING = frozenset(["disable", "bypass", "skip"])
_DECLARATIONS = frozenset(
    ["Field", "field", "option", "add_argument", "getenv", "get", "Option", "Argument", "mapped_column", "Column"]
)


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


class Switches:
    """The places in one module where a breaker is switched off."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)
        self.places = self.breakers.places

    def found(self) -> Iterator[Switch]:
        """Yield them all, each once."""
        seen: set[int] = set()
        for switch in (*self._arguments(), *self._settings(), *self._environment(), *self._calls(), *self._branches()):
            line = switch.node.lineno
            if line not in seen and not self.places.is_left_alone(switch.node):
                seen.add(line)
                yield switch

    # -- constants ------------------------------------------------------------------------------------------------

    def _arguments(self) -> Iterator[Switch]:
        """Yield the calls that are told to go without: `send(order, bypass_breaker=True)`."""
        for keyword in self.breakers.nodes(ast.keyword):
            call = self.module.parents[keyword]
            if not isinstance(keyword, ast.keyword) or not isinstance(call, ast.Call) or keyword.arg is None:
                continue
            polarity = self._argument_polarity(keyword.arg, call)
            if polarity is None or not is_off(keyword.value, polarity) or self._only_tells(call):
                continue
            yield Switch(call, f"{keyword.arg}={ast.unparse(keyword.value)}", self._weight(call))

    def _argument_polarity(self, name: str, call: ast.Call) -> bool | None:
        if name in _STATE_SWITCHES and self.breakers.makes_breaker(call):
            return _STATE_SWITCHES[name]
        if names_breaker(name) and words(name)[-1] in ("breaker", "circuitbreaker") and len(words(name)) <= 2:
            return True  # circuit_breaker=False
        return switch_polarity(name)

    def _only_tells(self, call: ast.Call) -> bool:
        """Say whether a call declares a setting, reports one, or makes a base class of its own object."""
        name = last_name(call.func)
        if name in _DECLARATIONS or mentions(name, REPORTS) or self.places.is_report(call):
            return True
        if self.places.is_probe(call) or name in ("getLogger", "debug", "info", "warning", "error"):
            return True
        return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "super()"

    def _settings(self) -> Iterator[Switch]:
        """Yield the assignments that switch off: `breaker.enabled = False`, `settings["use_breaker"] = False`."""
        for node in self.breakers.nodes(ast.Assign, ast.AnnAssign):
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                polarity = self._target_polarity(target)
                if polarity is not None and is_off(node.value, polarity) and not self.places.is_report(node):
                    yield Switch(node, ast.unparse(node), self._weight(node))
        for node in self.breakers.nodes(ast.Dict):
            if isinstance(node, ast.Dict) and not self.places.is_report(node):
                yield from self._entries(node)

    def _target_polarity(self, target: ast.expr) -> bool | None:
        match target:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                return None  # an object's own state
            case ast.Attribute(value=owner, attr=name):
                if name in _STATE_SWITCHES and self.breakers.is_breaker(owner):
                    return _STATE_SWITCHES[name]
                return switch_polarity(name)
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))):
                return None if mentions(last_name(owner), REPORTS) else switch_polarity(name)
            case ast.Name(id=name) if self.module.parents[self.module.parents[target]] is self.module.tree:
                _, bound = self.module.bindings(name, target)
                return switch_polarity(name) if len(bound) == 1 else None
            case _:
                return None

    def _entries(self, node: ast.Dict) -> Iterator[Switch]:
        """Yield the entries of a dict that switch off; what is returned, or logged, tells a state."""
        parent = self.module.parents[node]
        told = isinstance(parent, ast.Return) or (
            isinstance(parent, ast.Assign) and any(mentions(last_name(one), REPORTS) for one in parent.targets)
        )
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and not told:
                polarity = switch_polarity(key.value)
                if polarity is not None and key.value.isidentifier() and is_off(value, polarity):
                    yield Switch(value, f"{key.value}: {ast.unparse(value)}", self._weight(node))

    def _environment(self) -> Iterator[Switch]:
        """Yield what sets an environment variable: `os.environ.setdefault(...)`, `monkeypatch.setenv(...)`."""
        for call in self.module.calls_of("setenv", "setdefault", "putenv"):
            match call.args:
                case [ast.Constant(value=str(name)), value, *_]:
                    polarity = switch_polarity(name)
                    if polarity is not None and is_off(value, polarity):
                        yield Switch(call, f"{name}={ast.unparse(value)}", self._weight(call))
                case _:
                    pass

    def _calls(self) -> Iterator[Switch]:
        """Yield the calls that say so: `disable_circuit_breaker()`, `breaker.disable()`."""
        for call in self.module.calls:
            name = last_name(call.func)
            if _SWITCHING.isdisjoint(words(name)[:1]) or not self._switches(call, name):
                continue
            if all(_SWITCHING.isdisjoint(words(one.name)) for one in self.places.around(call)):
                yield Switch(call, f"{name}()", self._weight(call))

    def _switches(self, call: ast.Call, name: str) -> bool:
        if names_breaker(name):
            return True
        func = call.func
        return isinstance(func, ast.Attribute) and name in _SWITCHING and self.breakers.is_breaker(func.value)

    # -- branches -------------------------------------------------------------------------------------------------

    def _branches(self) -> Iterator[Switch]:
        """Yield the branches that call past a breaker when a switch says so, and tell nobody."""
        for node in self.breakers.nodes(ast.If, ast.IfExp):
            if isinstance(node, ast.If | ast.IfExp) and (found := self._branch(node)) is not None:
                yield found

    def _branch(self, node: ast.If | ast.IfExp) -> Switch | None:
        function = self.module.function(node)
        switch = next(((one, on) for one, on in self._tested(node.test)), None)
        if function is None or switch is None:
            return None
        flag, runs_when_on = switch
        past = _past(node, runs_when_on, self._follows(node))
        severity = self._branch_severity(flag, function)
        if past is None:  # the switch only decides whether a breaker is asked
            if not self._asks_within(node) or severity is Severity.LOW or not self._is_callers(flag, function):
                return None
            past = []
        if severity is None or is_audited(past) or (past and not self._calls_past(past, function)):
            return None
        return Switch(flag, ast.unparse(flag), severity)

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
        if isinstance(node, ast.Attribute) and name in _STATE_SWITCHES and self.breakers.is_breaker(node.value):
            polarity = _STATE_SWITCHES[name]
        if polarity is not None:
            yield node, polarity

    def _branch_severity(self, flag: ast.expr, function: Function) -> Severity | None:
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
            return _parameter_default(function, name)
        wanted = {name, name.lstrip("_")}
        for functions in self.module.functions.values():
            for one in functions:
                for parameter in wanted:
                    if one.name == "__init__" and (found := _parameter_default(one, parameter)) is not None:
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
        return any(self.breakers.asks(inner) for inner in ast.walk(node))

    def _calls_past(self, past: list[ast.stmt], function: Function) -> bool:
        """Say whether a branch makes a call, while its function uses a breaker besides."""
        inside = {inner for statement in past for inner in ast.walk(statement)}
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

    def _weight(self, node: ast.AST) -> Severity:
        """Say how much a switch matters: what is logged or counted on the spot is advice."""
        function = self.module.function(node)
        if function is not None and is_audited(function.body) and not self.places.is_performance(node):
            return Severity.LOW
        return Severity.MEDIUM


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


def _parameter_default(function: Function, name: str) -> ast.expr | None:
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
