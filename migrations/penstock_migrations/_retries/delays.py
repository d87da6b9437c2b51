"""Says how long a retry waits: at random or not, growing or not, told by the server or not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._code.module import Binding, Module
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._retries.words import COUNTER, HEADER

__all__ = ["Delay", "Delays"]

_RANDOM_MODULES = ("random.", "secrets.", "numpy.random.")
_RANDOM_METHODS = frozenset({"betavariate", "expovariate", "gauss", "normalvariate", "randint", "randrange", "uniform"})
_RANDOM_WORD = re.compile(r"jitter|random|poisson|(^|_)rand(_|$)", re.IGNORECASE)
_PURE = frozenset(
    {"abs", "ceil", "float", "get", "getattr", "int", "max", "min", "pow", "round", "str", "sum", "timedelta"}
    | {"total_seconds", "time", "strip", "exp", "Decimal", "Duration"}
)
_DEEP = 5
_MANY = 6  # a name bound more often is no delay


@dataclass(frozen=True, slots=True)
class Delay:
    """What is known of how long a call sleeps.

    Attributes:
        random: A part of it is random.
        grows: It grows from attempt to attempt.
        server: It may be what the server asked for, by Retry-After or the like.
        plain: It is computed in this module, without chance, and not what the server asked for alone.
    """

    random: bool
    grows: bool
    server: bool
    plain: bool


class Delays:
    """Looks at the delays of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)

    def of(self, node: ast.expr) -> Delay:
        """Say what is known of a delay: of the expression, of what its names are bound to, of what helpers return."""
        reached = list(self._reached(node, set(), _DEEP))
        leaves = self._alternatives(node, _DEEP)
        own = [part for part in leaves if not _mentions(part, HEADER)]
        known = [part for part in own if self._is_known(part, _DEEP)]
        computed = known if len(known) == len(own) else [part for part in known if _grows(part)]
        random = any(self._is_random(part) for part in reached)
        return Delay(
            random=random,
            grows=any(map(_is_growing, reached)),
            server=len(own) < len(leaves) or any(_says(part, HEADER) for part in reached),
            plain=bool(computed) and not random,
        )

    def texts(self, node: ast.expr) -> Iterator[str]:
        """Yield the names and texts of a delay, and of what its names are bound to."""
        for leaf in (node, *self._alternatives(node, _DEEP)):
            for part in walk(leaf):
                match part:
                    case ast.Name(id=text) | ast.Attribute(attr=text) | ast.Constant(value=str() as text):
                        yield text
                    case _:
                        pass

    # -- what a delay is made of ----------------------------------------------------------------------------------

    def _alternatives(self, node: ast.expr, depth: int) -> list[ast.expr]:
        """Return the expressions that a delay may be."""
        parts: list[ast.expr] = []
        match node:
            case ast.Name():
                parts = [
                    one.value for one in self._bindings(node) if one.kind == "value" and one.value and not one.path
                ]
            case ast.IfExp(body=body, orelse=orelse):
                parts = [body, orelse]
            case ast.BoolOp(op=ast.Or(), values=values):
                parts = values
            case ast.NamedExpr(value=value) | ast.Await(value=value):
                parts = [value]
            case ast.Call():
                parts = [
                    value for function in self.names.functions(node) for value in self.module.returned_by(function)
                ]
            case _:
                pass
        parts = [part for part in parts if part is not node]
        if not parts or depth == 0:
            return [node]
        return [leaf for part in parts[:_MANY] for leaf in self._alternatives(part, depth - 1)]

    def _reached(self, node: ast.AST, seen: set[ast.AST], depth: int) -> Iterator[ast.AST]:
        """Yield the nodes that decide a delay; of calls that are not known, only the call itself."""
        if node in seen or depth == 0:
            return
        seen.add(node)
        yield node
        followed: list[ast.AST] = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Call):
            functions = self.names.functions(node)
            followed += [part for function in functions for part in own_nodes(function)]
            if not functions and not self._is_pure(node):
                followed = [node.func]
        elif isinstance(node, ast.Name):
            for binding in self._bindings(node):
                yield from _growth(node, binding)
                followed += [binding.value] if binding.value is not None else []
            depth -= 1
        elif isinstance(node, ast.Attribute):
            followed += self.names.values(node)
            depth -= 1
        for part in followed:
            yield from self._reached(part, seen, depth)

    def _bindings(self, name: ast.Name) -> list[Binding]:
        return self.module.bindings(name.id, name)[1]

    # -- what a part tells ----------------------------------------------------------------------------------------

    def _is_random(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            name = self.module.qualified(node.func) or ""
            return name.startswith(_RANDOM_MODULES) or last_name(node.func) in _RANDOM_METHODS
        return _says(node, _RANDOM_WORD)

    def _is_pure(self, call: ast.Call) -> bool:
        return last_name(call.func) in _PURE or self._is_random(call)

    def _is_known(self, node: ast.expr, depth: int) -> bool:
        """Say whether no part of an expression is computed elsewhere."""
        match node:
            case ast.Call(args=args) if self._is_pure(node):
                return all(self._is_known(leaf, depth - 1) for arg in args for leaf in self._leaves(arg, depth))
            case ast.Call():
                return False
            case ast.BinOp(left=left, right=right):
                return all(
                    self._is_known(leaf, depth - 1) for arg in (left, right) for leaf in self._leaves(arg, depth)
                )
            case ast.Await(value=value):
                return self._is_known(value, depth)
            case _:
                return True

    def _leaves(self, node: ast.expr, depth: int) -> list[ast.expr]:
        return self._alternatives(node, depth) if depth > 0 else []


def _growth(name: ast.Name, binding: Binding) -> Iterator[ast.AST]:
    """Yield a power where a name becomes a multiple of itself: `delay *= 2`, `delay = min(delay * 2, 60)`."""
    augmented = isinstance(binding.node, ast.AugAssign) and isinstance(binding.node.op, ast.Mult | ast.LShift)
    parts = list(walk(binding.value)) if binding.kind == "value" and binding.value is not None else []
    multiplied = any(isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult) for part in parts)
    if augmented or (multiplied and any(isinstance(part, ast.Name) and part.id == name.id for part in parts)):
        yield ast.BinOp(name, ast.Pow(), name)


def _is_growing(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(op=ast.Pow() | ast.LShift()):
            return True
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return _mentions(left, COUNTER) or _mentions(right, COUNTER)
        case ast.Subscript(slice=index):
            return _mentions(index, COUNTER)
        case ast.Call(func=func):
            return last_name(func) == "pow"
        case _:
            return False


def _grows(node: ast.AST) -> bool:
    return any(map(_is_growing, walk(node)))


def _says(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word) | ast.keyword(arg=str() as word):
            return pattern.search(word) is not None
        case ast.Constant(value=str() as word):
            return pattern.search(word) is not None
        case _:
            return False


def _mentions(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    return any(_says(part, pattern) for part in walk(node))
