"""`Switches`: where a circuit breaker is switched off: by an argument, a setting, the environment, a call."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._breakers.branches import Branches, Switch, parameter_default
from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.places import is_announced
from penstock_migrations._breakers.words import (
    PERFORMANCE,
    REPORTS,
    STATE_SWITCHES,
    is_off,
    names_breaker,
    switch_polarity,
)
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import mentions, words
from penstock_migrations.rule import Severity

__all__ = ["Switches"]

_FAST = frozenset(["fast", "quick", "speed", "turbo"])
_SWITCHING = frozenset(["disable", "bypass", "skip"])
_DECLARATIONS = frozenset(
    ["Field", "field", "option", "add_argument", "getenv", "get", "Option", "Argument", "mapped_column", "Column"]
)


class Switches:
    """The places in one module where a breaker is switched off."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)
        self.places = self.breakers.places

    def found(self) -> Iterator[Switch]:
        """Yield them all, each once."""
        seen: set[int] = set()
        branches = self.module.analysis(Branches).found()
        for switch in (*self._arguments(), *self._settings(), *self._environment(), *self._calls(), *branches):
            line = switch.node.lineno
            if line not in seen and not self.places.is_left_alone(switch.node) and not self._is_declared(switch.node):
                seen.add(line)
                yield switch

    def _is_declared(self, node: ast.AST) -> bool:
        """Say whether a function around a node is the switch itself, by its name; its callers are judged."""
        return any(not _SWITCHING.isdisjoint(words(one.name)) for one in self.places.around(node))

    # -- constants ------------------------------------------------------------------------------------------------

    def _arguments(self) -> Iterator[Switch]:
        """Yield what tells a call to go without: `send(order, bypass_breaker=True)`."""
        for keyword in self.breakers.nodes(ast.keyword):
            call = self.module.parents[keyword]
            if not isinstance(keyword, ast.keyword) or not isinstance(call, ast.Call) or keyword.arg is None:
                continue
            polarity = self._argument_polarity(keyword.arg, call)
            if polarity is None or self._only_tells(call):
                continue
            if is_off(keyword.value, polarity) or (not polarity and self._passes_on(keyword.value, call)):
                yield Switch(keyword.value, f"{keyword.arg}={ast.unparse(keyword.value)}", self._weight(call))

    def _passes_on(self, value: ast.expr, call: ast.Call) -> bool:
        """Say whether a breaker is handed what callers of the function may choose: `breaker.call(f, bypass=bypass)`."""
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if owner is None or not isinstance(value, ast.Name) or not self.breakers.is_breaker(owner):
            return False
        function = self.module.function(call)
        return function is not None and parameter_default(function, value.id) is not None

    def _argument_polarity(self, name: str, call: ast.Call) -> bool | None:
        if name in STATE_SWITCHES and self.breakers.makes_breaker(call):
            return STATE_SWITCHES[name]
        polarity = switch_polarity(name)
        if polarity is None and words(name) in (("breaker",), ("circuit", "breaker"), ("circuitbreaker",)):
            return True  # circuit_breaker=False
        return polarity

    def _only_tells(self, call: ast.Call) -> bool:
        """Say whether a call declares a setting, reports one, or makes a base class of its own object."""
        name = last_name(call.func)
        if name in _DECLARATIONS or mentions(name, REPORTS) or self.places.is_report(call):
            return True
        if self.places.is_probe(call) or name in ("getLogger", "debug", "info", "warning", "error"):
            return True
        if self.module.analysis(Branches).is_where_on(call):
            return True  # another breaker is there
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
                elif switch_polarity(last_name(target)) and _gives_way_to_speed(node.value):
                    yield Switch(node, ast.unparse(node), Severity.MEDIUM)
        for node in self.breakers.nodes(ast.Dict):
            if isinstance(node, ast.Dict) and not self.places.is_report(node):
                yield from self._entries(node)

    def _target_polarity(self, target: ast.expr) -> bool | None:
        match target:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                return None  # an object's own state
            case ast.Attribute(value=owner, attr=name):
                if name in STATE_SWITCHES and self.breakers.is_breaker(owner):
                    return STATE_SWITCHES[name]
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
        names = [last_name(one) for one in parent.targets] if isinstance(parent, ast.Assign) else []
        names += [parent.arg] if isinstance(parent, ast.keyword) and parent.arg else []
        told = isinstance(parent, ast.Return) or any(mentions(name, REPORTS) for name in names)
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
            if not _SWITCHING.isdisjoint(words(name)[:1]) and self._switches(call, name):
                yield Switch(call, f"{name}()", self._weight(call))

    def _switches(self, call: ast.Call, name: str) -> bool:
        if names_breaker(name):
            return True
        func = call.func
        return isinstance(func, ast.Attribute) and name in _SWITCHING and self.breakers.is_breaker(func.value)

    def _weight(self, node: ast.AST) -> Severity:
        """Say how much a switch matters: what a function says of the breaker on the spot is advice."""
        function = self.module.function(node)
        if function is not None and is_announced(function.body) and not self.places.is_performance(node):
            return Severity.LOW
        return Severity.MEDIUM


def _gives_way_to_speed(value: ast.expr) -> bool:
    """Say whether a switch is on unless speed is asked for: `use_breaker and not fast_mode`."""
    if not isinstance(value, ast.BoolOp) or not isinstance(value.op, ast.And):
        return False
    denied = [one.operand for one in value.values if isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.Not)]
    return any(mentions(last_name(one), PERFORMANCE | _FAST) for one in denied)
