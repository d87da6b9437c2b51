"""`Thresholds`: circuit breakers that are made so that they cannot open, or that guard nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.words import REPORTS, names_breaker
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import mentions, words

__all__ = ["Thresholds", "is_huge", "is_threshold", "is_zero"]

_HUGE = 500
_FAILURES = frozenset(["fail", "failure", "error", "exception", "threshold"])
_LIMITS = frozenset(["max", "threshold", "limit", "count", "rate"])
_WAITS = frozenset(["timeout", "cooldown", "recovery", "wait", "ttl", "reset", "open"])
_EXCLUSIONS = frozenset(
    [
        "exclude",
        "excludes",
        "excluded",
        "excluded_exceptions",
        "exclude_exceptions",
        "ignore",
        "ignored",
        "ignore_exceptions",
        "ignored_exceptions",
        "excluded_errors",
        "ignore_errors",
    ]
)
_ALL = ("Exception", "BaseException")
_BLIND = "of pybreaker takes a coroutine for a success before it runs, and call_async is for Tornado's"


class Thresholds:
    """The breakers of one module that are made so; each is a call and what is said of it."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)

    def found(self) -> Iterator[tuple[ast.expr, str]]:
        """Yield them all."""
        yield from self._made()
        yield from self._blind()

    def _made(self) -> Iterator[tuple[ast.expr, str]]:
        for call in self.module.calls:
            if not self._is_making(call):
                continue
            reasons = [said for keyword in call.keywords if (said := self._says(keyword.arg or "", keyword.value))]
            first = call.args[0] if call.args else None
            if not reasons and first is not None and _is_endless(first):
                reasons = [f"{ast.unparse(first)} failures"]
            if reasons:
                yield call, f"{ast.unparse(call.func)}({reasons[0]}) never opens for long, or not at all"

    def _is_making(self, call: ast.Call) -> bool:
        name = last_name(call.func)
        if self.breakers.makes_breaker(call):
            return True
        is_about = names_breaker(name) and not mentions(name, REPORTS)
        return is_about and any(one.arg and is_threshold(one.arg) for one in call.keywords)

    def _says(self, name: str, value: ast.expr) -> str | None:
        """Return what a keyword says that keeps a breaker closed."""
        said = f"{name}={ast.unparse(value)}"
        if is_threshold(name) and is_huge(value):
            return said
        if _is_wait(name) and is_zero(value):
            return said
        if name in _EXCLUSIONS and _holds_all(value):
            return said
        if name in ("expected_exception", "expected_exceptions") and isinstance(value, ast.Tuple) and not value.elts:
            return said
        return None

    def _blind(self) -> Iterator[tuple[ast.expr, str]]:
        """Yield where pybreaker guards a coroutine function: it takes the call for a success before anything runs."""
        for call, target in self.breakers.guarding_calls:
            match call.func, target:
                case ast.Attribute(value=owner, attr="call"), ast.Name(id=name) if self._is_pybreaker(owner):
                    if _are_async(self.module.function_named(name, target)):
                        yield call, f"{ast.unparse(call.func)}({name}) {_BLIND}"
        for functions in self.breakers.decorated.values():
            for mark in (one for function in functions if _are_async([function]) for one in function.decorator_list):
                if self._is_pybreaker(mark):
                    yield mark, f"@{ast.unparse(mark)} {_BLIND}"

    def _is_pybreaker(self, node: ast.expr) -> bool:
        """Say whether a breaker is seen to be made by pybreaker."""
        bound = [node, *self.breakers.names.values(node)]
        return any(isinstance(one, ast.Call) and self._is_of_pybreaker(one.func) for one in bound)

    def _is_of_pybreaker(self, made: ast.expr) -> bool:
        return (self.module.qualified(made) or "").partition(".")[0] == "pybreaker"


def is_threshold(name: str) -> bool:
    """Say whether a name is that of the number of failures at which a breaker opens."""
    found = set(words(name))
    return not found.isdisjoint(_FAILURES) and not found.isdisjoint(_LIMITS)


def _are_async(functions: list[Function]) -> bool:
    return bool(functions) and all(isinstance(one, ast.AsyncFunctionDef) for one in functions)


def _is_endless(value: ast.expr) -> bool:
    return ast.unparse(value) in ("sys.maxsize", "math.inf", "float('inf')", "maxsize", "inf", "np.inf")


def is_huge(value: ast.expr) -> bool:
    """Say whether a number is out of the reach of failures in a row."""
    match value:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number >= _HUGE
        case ast.BinOp(left=ast.Constant(value=10), op=ast.Pow(), right=ast.Constant(value=int(power))):
            return power > 2
        case _:
            return _is_endless(value)


def _is_wait(name: str) -> bool:
    found = words(name)
    return not _WAITS.isdisjoint(found) and not {"call", "request", "connect", "read"} & set(found)


def is_zero(value: ast.expr) -> bool:
    """Say whether a number, or a duration, is zero."""
    match value:
        case ast.Constant(value=number):
            return not isinstance(number, bool) and number == 0
        case ast.Call(args=[], keywords=[]):
            return last_name(value.func) == "timedelta"
        case ast.Call(args=args, keywords=keywords) if last_name(value.func) == "timedelta":
            return all(is_zero(one) for one in (*args, *(keyword.value for keyword in keywords)))
        case _:
            return False


def _holds_all(value: ast.expr) -> bool:
    """Say whether a list of exceptions that count for nothing holds all of them."""
    values = value.elts if isinstance(value, ast.List | ast.Tuple | ast.Set) else [value]
    for one in values:
        if isinstance(one, ast.Name) and one.id in _ALL:
            return True
        if isinstance(one, ast.Lambda) and isinstance(one.body, ast.Constant) and one.body.value is True:
            return True
    return False
