"""`Fates`: follows what was opened through the function that opened it: kept, handed on, or used there and then."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes, start_of
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import vocabulary

__all__ = ["Fate", "Fates"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_STORES = frozenset(
    {"_store", "append", "add", "appendleft", "insert", "put", "put_nowait", "push", "set", "setdefault"}
)
_STACKS = frozenset({"enter_context", "enter_async_context"})
_WRAPPERS = frozenset(
    {"closing", "aclosing", "contextlib.closing", "wait_for", "shield", "cast", "run", "run_until_complete"}
)
_DERIVED = vocabulary(
    "cursor connect begin raw_connection get_database get_default_database get_collection session acquire client db"
    " execution_options with_options __enter__ __aenter__"
)
_SESSIONS = frozenset(
    {"sessionmaker", "async_sessionmaker", "scoped_session", "async_scoped_session", "cls", "partial"}
)
_CLOSERS = ("close", "aclose", "dispose", "disconnect", "quit")
# What says something about a connection, a cursor or an engine, and is none.
_PLAIN = frozenset(
    {"rowcount", "description", "lastrowid", "total_changes", "url", "dialect", "name", "row_factory", "autocommit"}
    | {"arraysize", "isolation_level", "text_factory", "closed", "notices"}
)
_SAID = frozenset({"url", "dialect", "name", "driver"})


class Fate(enum.Enum):
    """What becomes of what was opened."""

    KEPT = "kept"
    RETURNED = "returned"
    USED = "used"


class Fates:
    """Answers what becomes of an expression in the function around it."""

    def __init__(self, names: Reaching) -> None:
        self.names = names
        self.module: Module = names.module

    def of(self, node: ast.expr) -> Fate:
        """Say what becomes of a value: kept beyond the call, returned to the caller, or used up in the function."""
        function = self.module.function(node)
        return Fate.KEPT if function is None else self._fate(node, function, set())

    def is_described(self, node: ast.expr) -> bool:
        """Say whether an engine is made for what it says of itself alone (`engine.url`): then it connects nowhere."""
        function, parent = self.module.function(node), self.module.parents[node]
        match parent:
            case ast.Assign(targets=[ast.Name(id=name)]) if function is not None:
                uses = [self.module.parents[use] for use in own_nodes(function) if _reads(use, name)]
                return bool(uses) and all(isinstance(use, ast.Attribute) and use.attr in _SAID for use in uses)
            case _:
                return False

    def _fate(self, node: ast.expr, function: Function, seen: set[str]) -> Fate:
        """Climb from a value to the statement that it is part of."""
        parent = self.module.parents[node]
        match parent:
            case ast.Lambda():
                return Fate.KEPT
            case ast.Return():
                return Fate.KEPT if self._looks_up(function, parent) else Fate.RETURNED
            case ast.Yield():
                return Fate.RETURNED
            case ast.BoolOp() | ast.IfExp() if self._is_alternative(node, parent):
                return Fate.KEPT
            case ast.Await() | ast.BoolOp() | ast.IfExp() | ast.Tuple() | ast.List() | ast.Starred() | ast.Dict():
                return self._fate(parent, function, seen)
            case ast.keyword() | ast.Call() | ast.Attribute() | ast.Subscript():
                return self._passed(node, parent, function, seen)
            case _:
                return self._worst(self._bound(target, function, seen) for target in _targets(node, parent))

    def _passed(self, node: ast.expr, parent: ast.AST, function: Function, seen: set[str]) -> Fate:
        """Follow a value into the call, or the access, that it is part of."""
        match parent:
            case ast.keyword():
                call = self.module.parents[parent]
                return self._handed(call, function, seen) if isinstance(call, ast.Call) else Fate.USED
            case ast.Call():
                return Fate.USED if node is parent.func else self._handed(parent, function, seen)
            case ast.Attribute(attr=name):
                return Fate.USED if name in _PLAIN else self._derived(parent, name, function, seen)
            case ast.Subscript(ctx=ast.Load()):
                return self._fate(parent, function, seen)
            case _:
                return Fate.USED

    def _is_alternative(self, node: ast.expr, choice: ast.BoolOp | ast.IfExp) -> bool:
        """Say whether a value is opened only where there is none yet: `given or connect()`."""
        if isinstance(choice, ast.BoolOp):
            return choice.values[0] is not node
        return not self._is_opened(choice.orelse if choice.body is node else choice.body)

    def _derived(self, node: ast.expr, name: str, function: Function, seen: set[str]) -> Fate:
        """Follow a cursor, a database, a session: what lives only as long as the connection does."""
        call = self.module.parents[node]
        if isinstance(call, ast.Call) and call.func is node:
            return self._fate(call, function, seen) if name in _DERIVED else Fate.USED
        return self._fate(node, function, seen)

    def _handed(self, call: ast.Call, function: Function, seen: set[str]) -> Fate:
        """Follow an argument: into a container, through a wrapper, into an object; a function uses it up."""
        name = last_name(call.func)
        if name in _STORES and isinstance(call.func, ast.Attribute):
            return Fate.KEPT
        if name in _STACKS and isinstance(call.func, ast.Attribute):
            return self._entered(call, call.func.value, function, seen)
        if name in _WRAPPERS:
            return self._fate(call, function, seen)
        if name in _SESSIONS or _is_class(name):
            fate = self._fate(call, function, seen)
            return Fate.KEPT if fate is Fate.RETURNED and _is_class(name) and "Session" not in name else fate
        return Fate.USED

    def _entered(self, call: ast.Call, stack: ast.expr, function: Function, seen: set[str]) -> Fate:
        return Fate.KEPT if isinstance(stack, ast.Attribute) else self._fate(call, function, seen)

    def _bound(self, target: ast.expr, function: Function, seen: set[str]) -> Fate:
        match target:
            case ast.Name(id=name):
                return self._named(name, target, function, seen)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                return self._worst(self._bound(one, function, seen) for one in targets)
            case ast.Attribute() | ast.Subscript():
                return Fate.USED if self._is_closed(target, function) else Fate.KEPT
            case _:
                return Fate.USED

    def _named(self, name: str, target: ast.Name, function: Function, seen: set[str]) -> Fate:
        """Follow a local name through its function."""
        if name in seen:
            return Fate.USED
        if self._is_outer(name, function) or self._is_given(name, target):
            return Fate.KEPT
        uses = [node for node in own_nodes(function) if _reads(node, name) and start_of(target) < start_of(node)]
        fates = {self._fate(use, function, seen | {name}) for use in uses if isinstance(use, ast.Name)}
        if Fate.KEPT in fates or self._is_enclosed(name, function):
            return Fate.KEPT
        return Fate.RETURNED if Fate.RETURNED in fates else Fate.USED

    def _worst(self, fates: Iterator[Fate]) -> Fate:
        """Join the fates of several targets: one that keeps it is enough."""
        found = set(fates)
        return next((fate for fate in (Fate.KEPT, Fate.RETURNED) if fate in found), Fate.USED)

    def _is_outer(self, name: str, function: Function) -> bool:
        return any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in own_nodes(function))

    def _is_given(self, name: str, target: ast.Name) -> bool:
        """Say whether a name may hold what the caller gave, or what is kept already."""
        _, found = self.module.bindings(name, target)
        others = [one for one in found if one.node is not self.module.parents[target]]
        return any(one.kind == "parameter" or (one.value is not None and self._is_kept(one.value)) for one in others)

    def _is_kept(self, node: ast.expr) -> bool:
        """Say whether an expression reads what an object, the module or the caller keeps: `_CLIENTS.get(key)`."""
        match node:
            case ast.Subscript(value=owner) | ast.Call(func=ast.Attribute(value=owner, attr="get" | "pop" | "popleft")):
                return self._is_lasting(owner)
            case ast.Call(func=ast.Name(id="getattr")):
                return True
            case ast.Await(value=inner):
                return self._is_kept(inner)
            case ast.Attribute():
                return self.module.qualified(node) is None
            case ast.BoolOp(values=[first, *_]):
                return self._is_kept(first)
            case _:
                return False

    def _is_lasting(self, owner: ast.expr) -> bool:
        match owner:
            case ast.Attribute(value=inner):
                return self._is_lasting(inner)
            case ast.Name(id=name):
                scope, found = self.module.bindings(name, owner)
                return bool(found) and (isinstance(scope, ast.Module) or found[0].kind == "parameter")
            case _:
                return False

    def _is_enclosed(self, name: str, function: Function) -> bool:
        """Say whether a function defined here holds on to the name, and outlives the call."""
        inner = [node for node in own_nodes(function) if isinstance(node, (*_FUNCTIONS, ast.Lambda))]
        return any(self._closes_over(one, name) and self._outlives(one, function) for one in inner)

    def _closes_over(self, inner: ast.AST, name: str) -> bool:
        return any(_reads(node, name) for node in walk(inner)) and not any(
            isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
            for node in own_nodes(inner)
        )

    def _outlives(self, inner: ast.AST, function: Function) -> bool:
        if isinstance(inner, ast.Lambda):
            return isinstance(self.module.parents[inner], ast.Return | ast.Assign)
        if not isinstance(inner, _FUNCTIONS):
            return False
        uses = [node for node in own_nodes(function) if _reads(node, inner.name)]
        kept = any(isinstance(self.module.parents[use], ast.Return | ast.Assign | ast.Dict) for use in uses)
        return kept or bool(inner.decorator_list)

    def _is_opened(self, node: ast.expr) -> bool:
        """Say whether the other arm of a choice opens one, too."""
        return any(isinstance(one, ast.Call) for one in (node, *own_nodes(node)))

    def _is_closed(self, target: ast.expr, function: Function) -> bool:
        """Say whether the function closes what it has put there: then it is kept for one call only."""
        shown = ast.dump(target).replace("Store()", "Load()")
        return any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _CLOSERS
            and start_of(node) > start_of(target)
            and ast.dump(node.func.value) == shown
            for node in self._after_success(function)
        )

    def _after_success(self, function: Function) -> Iterator[ast.AST]:
        """Yield the nodes of a function that run when nothing fails."""
        stack: list[ast.AST] = list(function.body)
        while stack:
            node = stack.pop()
            yield node
            if not isinstance(node, (*_FUNCTIONS, ast.Lambda, ast.ClassDef, ast.ExceptHandler, ast.If)):
                stack.extend(ast.iter_child_nodes(node))

    def _looks_up(self, function: Function, statement: ast.Return) -> bool:
        """Say whether a function also returns what is kept already, so that it opens what is missing only."""
        others = [node for node in own_nodes(function) if isinstance(node, ast.Return) and node is not statement]
        return any(one.value is not None and self._is_kept(one.value) for one in others)


def _targets(node: ast.expr, parent: ast.AST) -> list[ast.expr]:
    """Return what a statement binds a value to."""
    match parent:
        case ast.Assign(targets=targets) if parent.value is node:
            return targets
        case ast.AnnAssign(target=target) | ast.NamedExpr(target=target) if parent.value is node:
            return [target]
        case ast.withitem(optional_vars=ast.expr() as target) if parent.context_expr is node:
            return [target]
        case _:
            return []


def _is_class(name: str) -> bool:
    return name.lstrip("_")[:1].isupper() and not name.lstrip("_").isupper()


def _reads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
