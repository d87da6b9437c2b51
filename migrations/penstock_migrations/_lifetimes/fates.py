"""`Fates`: where a value goes: is it closed, handed on, kept by an object, or lost?"""

from __future__ import annotations

import ast
import enum
from dataclasses import dataclass

from penstock_migrations._code.following import Following
from penstock_migrations._code.module import Function, Module, Scope
from penstock_migrations._code.reaching import Reaching, blocks, last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import mentions
from penstock_migrations._lifetimes.closings import ENDING, Closings
from penstock_migrations._lifetimes.resources import CLOSERS, Kind

__all__ = ["End", "Fate", "Fates"]


class End(enum.IntEnum):
    """How a value ends; of several, the largest counts."""

    USED = 0
    LOST = 1
    LATE = 2
    ELSEWHERE = 3
    LEFT = 4
    OWNED = 5
    CLOSED = 6
    ENTERED = 7
    IGNORED = 8


@dataclass(frozen=True, slots=True, order=True)
class Fate:
    """What becomes of a value.

    Attributes:
        end: How it ends. `USED`: in the expression that makes it. `LOST`: a local name had it. `LATE`: it is closed,
            but not if something fails before. `ELSEWHERE`: somebody else has it. `LEFT`: an attribute of somebody
            else's object has it, and this module does not close that. `OWNED`: an attribute of self has it, and
            nothing closes that. `CLOSED`: it is closed, or lives as long as the process. `ENTERED`: a `with` is
            over it that does not close it. `IGNORED`: it is made where a caller brings another, which is not used.
        holder: The name or attribute.
    """

    end: End
    holder: str = ""


_USED, _ELSEWHERE, _CLOSED = Fate(End.USED), Fate(End.ELSEWHERE), Fate(End.CLOSED)
_PASSING = frozenset({"wait_for", "shield", "cast", "iter", "enumerate", "list", "tuple"})
_WRAPPING = frozenset({"csv.reader", "csv.writer", "csv.DictReader", "csv.DictWriter"})
_LOOKING = frozenset({"isinstance", "bool", "type", "id", "hasattr", "callable", "repr", "str", "print"})
_GROWING = frozenset({"append", "add", "appendleft", "insert", "setdefault", "extend", "update", "put", "put_nowait"})
_TAKING = frozenset({"values", "items", "copy", "pop", "popitem", "popleft", "get"})
_KEEPING = frozenset(
    {"push", "push_async_exit", "callback", "register", "setattr", "__setattr__", "partial", "send_file", "set"}
    | {"nullcontext", "add_field"}
)
_CLOSING = frozenset({"enter_context", "enter_async_context", "set_default_executor"})
_BORROWING = frozenset({"run_in_executor", "Popen"})


class Fates:
    """Follows the values of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)
        self.closings = Closings(module)
        self._following = Following()
        self._loads: dict[ast.AST, dict[str, list[ast.Name]]] = {}

    def of(self, node: ast.expr, kind: Kind, *, contained: bool = False) -> Fate:
        """Say what becomes of a value, from an expression that has it.

        Args:
            node: The expression.
            kind: What the value is.
            contained: The expression is a container of the value.
        """
        return self._following.ask("fate", node, lambda: self._fate(node, kind, contained), _ELSEWHERE)

    def of_entered(self, item: ast.withitem, kind: Kind) -> Fate:
        """Say what becomes of a value that a `with` gives a name and does not close."""
        name = item.optional_vars
        return self._named(name, item.context_expr, kind) if isinstance(name, ast.Name) else Fate(End.LOST)

    def _fate(self, node: ast.expr, kind: Kind, contained: bool) -> Fate:
        parent = self.module.parents[node]
        match parent:
            case ast.withitem() | ast.Delete():
                return _CLOSED if isinstance(parent, ast.withitem) else _USED
            case ast.Attribute():
                return self._attribute(parent, kind, contained=contained)
            case ast.Call():
                return self._argument(parent, node, kind, contained) if node is not parent.func else _ELSEWHERE
            case ast.keyword():
                call = self.module.parents[parent]
                return self._argument(call, node, kind, contained) if isinstance(call, ast.Call) else _ELSEWHERE
            case ast.Return() | ast.Yield() | ast.YieldFrom() | ast.Lambda():
                return _ELSEWHERE
            case ast.Assign(targets=targets):
                return max(self._bound(target, node, kind, contained=contained) for target in targets)
            case ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
                return self._bound(target, node, kind, contained=contained)
            case ast.AugAssign(target=target):
                return self._bound(target, node, kind, contained=True)
            case _:
                return self._through(parent, node, kind, contained)

    def _through(self, parent: ast.AST, node: ast.expr, kind: Kind, contained: bool) -> Fate:
        """Look further up where the expression around has the same value, or contains it."""
        match parent:
            case ast.Await() | ast.BoolOp():
                return self.of(parent, kind, contained=contained)
            case ast.IfExp(test=test) if test is not node:
                return self.of(parent, kind, contained=contained)
            case ast.Starred() | ast.List() | ast.Tuple() | ast.Set() | ast.Dict() | ast.ListComp() | ast.SetComp():
                return self.of(parent, kind, contained=True)
            case ast.GeneratorExp() | ast.DictComp():
                return self.of(parent, kind, contained=True)
            case ast.AsyncFor() if isinstance(node, ast.Call):
                return _CLOSED  # it connects again and again, and closes each time
            case ast.For(target=target) | ast.comprehension(target=target) if contained and parent.iter is node:
                return self._bound(target, node, kind)
            case _:
                return _USED

    # -- attributes and arguments -----------------------------------------------------------------------------------

    def _attribute(self, attribute: ast.Attribute, kind: Kind, *, contained: bool) -> Fate:
        parent = self.module.parents[attribute]
        called = isinstance(parent, ast.Call) and parent.func is attribute
        if contained:
            taken = called and attribute.attr in _TAKING
            return self.of(parent, kind, contained=True) if taken and isinstance(parent, ast.Call) else _USED
        if attribute.attr in CLOSERS:
            return _CLOSED if not called or self._is_sure(attribute) else Fate(End.LATE)
        if attribute.attr in ("__enter__", "__aenter__"):
            return _ELSEWHERE
        handed = isinstance(parent, ast.Return | ast.Lambda | ast.Assign | ast.keyword) and attribute.attr != "name"
        return _ELSEWHERE if handed else _USED

    def _is_sure(self, close: ast.Attribute) -> bool:
        """Say whether a close happens whatever fails: in a `finally`, in place, or in a function made for it."""
        made = close.value
        if not isinstance(made, ast.Name):
            return True
        child: ast.AST = close
        for around in self.module.ancestors(close):
            if isinstance(around, ast.Try) and child in around.finalbody:
                return True
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Module):
                return around is not self.module.bindings(made.id, made)[0] or self._is_next(close, made)
            child = around
        return False

    def _is_next(self, close: ast.Attribute, made: ast.Name) -> bool:
        """Say whether nothing stands between the making and the close."""
        statement = self.module.statement(close)
        for block in blocks(self.module.parents[statement]):
            if statement in block and (place := block.index(statement)) > 0:
                bound = [binding.node for binding in self.module.bindings(made.id, made)[1]]
                return block[place - 1] in bound
        return False

    def _argument(self, call: ast.Call, node: ast.expr, kind: Kind, contained: bool) -> Fate:
        name, qualified = last_name(call.func), self.module.qualified(call.func)
        if name in _CLOSING or mentions(name, ENDING):
            return _CLOSED
        if name in _GROWING and isinstance(call.func, ast.Attribute):
            return self._stored(call.func.value, kind)
        if name in _KEEPING:
            return _ELSEWHERE
        if name in _PASSING or qualified in _WRAPPING:
            return self.of(call, kind, contained=contained)
        if name in _LOOKING or name in _BORROWING:
            return _USED
        if functions := self.names.functions(call):
            return self._given(call, node, functions[0], kind, contained)
        return _USED if kind is Kind.FILE and not _constructs(call.func) else _ELSEWHERE

    def _given(self, call: ast.Call, node: ast.expr, function: Function, kind: Kind, contained: bool) -> Fate:
        """Look at what a function of this module does with its argument."""
        parameter = _parameter(call, node, function)
        if parameter is None:
            return _ELSEWHERE
        found = max((self.of(use, kind, contained=contained) for use in self._uses(function, parameter)), default=_USED)
        return _CLOSED if found.end is End.LATE else _USED if found.end is End.LOST else found

    # -- names, attributes and items --------------------------------------------------------------------------------

    def _bound(self, target: ast.expr, node: ast.expr, kind: Kind, *, contained: bool = False) -> Fate:
        match target:
            case ast.Name():
                return self._named(target, node, kind, contained=contained)
            case ast.Attribute(value=owner, attr=name):
                return self._owned(owner, name)
            case ast.Subscript(value=container):
                return self._stored(container, kind)
            case ast.Tuple(elts=[_, *_] as targets) | ast.List(elts=[_, *_] as targets):
                return max(self._bound(one, node, kind, contained=contained) for one in targets)
            case _:
                return _ELSEWHERE

    def _named(self, name: ast.Name, node: ast.expr, kind: Kind, *, contained: bool = False) -> Fate:
        scope, found = self.module.bindings(name.id, node)
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) or self._is_outer(scope, name.id):
            return _CLOSED
        if contained and any(binding.kind == "parameter" for binding in found):
            return _ELSEWHERE
        if contained and self._closes_something(scope):
            return _CLOSED
        uses = [use for use in self._uses(scope, name.id) if use is not node and not self._feeds(use, name.id)]
        fates = [self._used(use, scope, kind, contained) for use in uses]
        return max(*fates, Fate(End.LOST, name.id)) if fates else Fate(End.LOST, name.id)

    def _feeds(self, use: ast.Name, name: str) -> bool:
        """Say whether a use is part of what the name is bound to: `client = client or make()`."""
        match self.module.parents[use]:
            case ast.BoolOp() | ast.IfExp() as choice:
                around = self.module.parents[choice]
                return isinstance(around, ast.Assign) and any(last_name(one) == name for one in around.targets)
            case _:
                return False

    def _used(self, use: ast.Name, scope: Scope, kind: Kind, contained: bool) -> Fate:
        found = self.of(use, kind, contained=contained)
        inner = self.module.scope(use)
        return found if inner is scope or found.end > End.ELSEWHERE else _ELSEWHERE

    def _is_outer(self, scope: Function, name: str) -> bool:
        """Say whether a function declares a name to belong to somebody else."""
        return name in self._declared(scope)

    def _declared(self, scope: Function) -> set[str]:
        return {name for node in walk(scope) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}

    def _closes_something(self, scope: Function) -> bool:
        return any(isinstance(node, ast.Attribute) and node.attr in CLOSERS for node in walk(scope))

    def _owned(self, owner: ast.expr, attribute: str) -> Fate:
        own = isinstance(owner, ast.Name) and owner.id == "self"
        if self.closings.closes(attribute, owner, own=own):
            return _CLOSED
        match owner:
            case ast.Name(id="self"):
                return Fate(End.OWNED, attribute)
            case ast.Name(id=name) if name == "cls" or name in self.module.classes:
                return _CLOSED
            case _:
                shared = self.module.qualified(owner) is not None
                return _CLOSED if shared else Fate(End.LEFT, attribute)

    def _stored(self, container: ast.expr, kind: Kind) -> Fate:
        match container:
            case ast.Name():
                return self._named(container, container, kind, contained=True)
            case ast.Attribute(value=owner, attr=name):
                return self._owned(owner, name)
            case _:
                return _ELSEWHERE

    def _uses(self, scope: Scope, name: str) -> list[ast.Name]:
        if scope not in self._loads:
            found: dict[str, list[ast.Name]] = {}
            for node in walk(scope):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    found.setdefault(node.id, []).append(node)
            self._loads[scope] = found
        return self._loads[scope].get(name, [])


def _constructs(func: ast.expr) -> bool:
    """Say whether a call makes an object that may keep its arguments: a class, `cls`, `super().__init__`."""
    match func:
        case ast.Call():
            return True
        case ast.Attribute(value=owner, attr=name) if name.startswith("from_") and last_name(owner)[:1].isupper():
            return True
        case _:
            name = last_name(func).lstrip("_")
            return name[:1].isupper() or name in ("cls", "init__")


def _parameter(call: ast.Call, node: ast.expr, function: Function) -> str | None:
    """Return the parameter that an argument is given to."""
    for keyword in call.keywords:
        if keyword.value is node:
            return keyword.arg
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    if names[:1] in (["self"], ["cls"]) and isinstance(call.func, ast.Attribute):
        names = names[1:]
    place = next((place for place, one in enumerate(call.args) if one is node), len(names))
    return names[place] if place < len(names) else None
