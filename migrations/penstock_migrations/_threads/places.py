"""`Places`: where an object is kept, followed forward from where it is made and backward from where it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._threads.shapes import bound_to, parts_of
from penstock_migrations._threads.words import ENTERING

__all__ = ["Kept", "Place", "Places", "meet"]

# A name of a scope, an attribute of a class and its relatives, or (None) an attribute of an object of unknown class.
Place = tuple[ast.AST | None, str]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (ast.Module, *_FUNCTIONS, ast.Lambda)
_THROUGH = (
    ast.IfExp, ast.BoolOp, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp, ast.Starred, ast.Await, ast.keyword, ast.NamedExpr,
)  # fmt: skip
_FILLING = frozenset({"append", "add", "appendleft", "insert", "setdefault", "put", "put_nowait", "extend", "update"})
_LOOKING = frozenset(
    {
        "print",
        "len",
        "id",
        "str",
        "repr",
        "isinstance",
        "type",
        "bool",
        "hasattr",
        "getattr",
        "ref",
        "debug",
        "info",
        "warning",
        "error",
        "exception",
        "log",
        "run_in_executor",
        "partial",
        "callable",
        "submit",
        "discard",
        "remove",
        "start_new_thread",
    }
)
_FACTORIES = frozenset({"field", "Factory", "PrivateAttr", "Field", "attrib", "ib", "cached"})
_SAME = frozenset({"list", "tuple", "set", "frozenset", "sorted", "iter", "reversed", "cast"})
_DEEP = 12


def meet(some: Iterable[Place], others: Iterable[Place]) -> bool:
    """Say whether two sets of places have one in common; an object of unknown class may be of any."""
    first, second = set(some), set(others)
    if not first.isdisjoint(second):
        return True
    return any(_may_be(one, second) for one in first) or any(_may_be(one, first) for one in second)


def _may_be(place: Place, others: set[Place]) -> bool:
    owner, name = place
    return owner is None and any(isinstance(other, ast.ClassDef) and name == known for other, known in others)


@dataclass(slots=True)
class Kept:
    """Where an object went.

    Attributes:
        places: The names and attributes that hold it, or hold a collection of it.
        escapes: It is returned, yielded or handed to what is not known.
        entered: It is entered as a context, which ends it.
    """

    places: set[Place]
    escapes: bool = False
    entered: bool = False


class Places:
    """Answers for one module where objects are kept."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)
        self._globals: dict[ast.AST, dict[str, bool]] = {}

    def of(self, node: ast.expr) -> Place | None:
        """Return the place that a name or an attribute is."""
        match node:
            case ast.Name(id=name):
                return self._named(name, node)
            case ast.Attribute(value=owner, attr=name):
                return self._attribute(owner, name)
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str() as name), *_]):
                return self._attribute(owner, name)
            case _:
                return None

    def _attribute(self, owner: ast.expr, name: str) -> Place:
        """Return the place of an attribute, under the name of its class where that is to be seen."""
        around = None
        if isinstance(owner, ast.Name):
            own = owner.id in ("self", "cls")
            around = self.module.class_around(owner) if own else self.module.classes.get(owner.id)
        return None if around is None else self._families.get(around, around), name

    @cached_property
    def _families(self) -> dict[ast.ClassDef, ast.ClassDef]:
        """The classes of the module, each with the one that stands for it, its bases and their other subclasses."""
        head = {one: one for one in self.module.classes.values()}
        for one in self.module.classes.values():
            for base in one.bases:
                related = self.module.classes.get(base.id) if isinstance(base, ast.Name) else None
                if related is not None and head[related] is not head[one]:
                    old, new = head[one], head[related]
                    head = {key: new if value is old else value for key, value in head.items()}
        return head

    def _named(self, name: str, node: ast.AST) -> Place:
        inner = node
        for around in self.module.ancestors(node):
            if isinstance(around, ast.ClassDef) and not isinstance(inner, _SCOPES):
                return self._families.get(around, around), name
            if isinstance(around, _FUNCTIONS) and name in (declared := self._declared(around)):
                if declared[name]:
                    return self.module.tree, name
                return self._named(name, around)
            if isinstance(around, _SCOPES):
                break
            inner = around
        scope, _ = self.module.bindings(name, node)
        return scope or self.module.tree, name

    def _declared(self, function: Function) -> dict[str, bool]:
        """Return the names that a function declares to be of outside, and whether global."""
        if function not in self._globals:
            self._globals[function] = {
                name: isinstance(node, ast.Global)
                for node in own_nodes(function)
                if isinstance(node, ast.Global | ast.Nonlocal)
                for name in node.names
            }
        return self._globals[function]

    # -- backward ---------------------------------------------------------------------------------------------------

    def sources(self, nodes: Iterable[ast.expr]) -> set[Place]:
        """Return the places that what some expressions stand for may have come from."""
        found: set[Place] = set()
        seen: set[ast.AST] = set()
        waiting = [(node, 0) for node in nodes]
        while waiting:
            node, depth = waiting.pop()
            if node in seen or depth > _DEEP:
                continue
            seen.add(node)
            if (place := self.of(node)) is not None:
                found.add(place)
            waiting.extend((one, depth + 1) for one in self._before(node))
        return found

    def _before(self, node: ast.expr) -> Iterator[ast.expr]:
        match node:
            case ast.Name(id=name):
                yield from self._bound(name, node)
            case ast.Attribute(attr=name):
                yield from (one.value for one in self.module.attribute_bindings(name, node) if one.value is not None)
            case ast.Call():
                yield from self._called(node)
            case _:
                yield from parts_of(node)

    def _bound(self, name: str, node: ast.expr) -> Iterator[ast.expr]:
        _, bindings = self.module.bindings(name, node)
        for binding in bindings:
            if binding.value is not None:
                yield binding.value
            elif isinstance(binding.node, ast.arg):
                yield from self._arguments(binding.node)

    def _called(self, call: ast.Call) -> Iterator[ast.expr]:
        if isinstance(call.func, ast.Attribute):
            yield call.func.value
        yield from (one.value if isinstance(one, ast.Starred) else one for one in call.args)
        for function in self.names.functions(call):
            yield from self.module.returned_by(function)

    def _arguments(self, parameter: ast.arg) -> Iterator[ast.expr]:
        """Yield what the calls of this module hand to the function of a parameter."""
        function = self.module.function(parameter)
        if function is None:
            return
        for call in self.module.calls_of(function.name):
            yield from call.args
            yield from (keyword.value for keyword in call.keywords)

    # -- forward ----------------------------------------------------------------------------------------------------

    def kept(self, made: ast.expr) -> Kept:
        """Follow an object from where it is made, through the names of its function."""
        result = Kept(set())
        waiting: list[ast.expr] = [made]
        seen: set[ast.AST] = set()
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            for place in self._step(node, result):
                if place not in result.places:
                    result.places.add(place)
                    waiting.extend(self._uses(place, made))
        return result

    def _uses(self, place: Place, made: ast.AST) -> Iterator[ast.expr]:
        """Yield where a local name is used, and an attribute in the function that sets it."""
        scope, _ = place
        if scope is None or isinstance(scope, ast.ClassDef):
            scope = self.module.function(made)
        if scope is None or isinstance(scope, ast.Module):
            return
        for node in walk(scope):
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and self._is(node, place):
                yield node

    def _is(self, node: ast.expr, place: Place) -> bool:
        if (node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")) != place[1]:
            return False
        return self.of(node) == place

    def _step(self, node: ast.AST, result: Kept) -> Iterator[Place]:
        """Climb from an expression to what takes it."""
        parent = self.module.parents.get(node)
        while isinstance(parent, _THROUGH):
            if isinstance(parent, ast.NamedExpr):
                yield from self._targets([parent.target], result)
            node, parent = parent, self.module.parents.get(parent)
        match parent:
            case ast.Return() | ast.Yield() | ast.YieldFrom():
                result.escapes = True
            case ast.withitem():
                result.entered = True
            case ast.Lambda():
                yield from self._made_by(parent, result)
            case ast.Call(func=func) if func is not node:
                yield from self._taken(parent, node, result)
            case ast.Subscript(value=value, ctx=ast.Load()) if value is node:
                yield from self._step(parent, result)
            case _:
                yield from self._targets(bound_to(parent, node), result)

    def _made_by(self, maker: ast.Lambda, result: Kept) -> Iterator[Place]:
        """Follow what a lambda returns: to the attribute whose default it is, else to whoever calls it."""
        call = next((one for one in self.module.ancestors(maker) if isinstance(one, ast.Call | ast.stmt)), None)
        if isinstance(call, ast.Call) and self.names.called(call).rpartition(".")[2] in _FACTORIES:
            yield from self._step(call, result)
        else:
            result.escapes = True

    def _targets(self, targets: Iterable[ast.expr], result: Kept) -> Iterator[Place]:
        for target in targets:
            match target:
                case ast.Name() | ast.Attribute():
                    if (place := self.of(target)) is not None:
                        yield place
                    result.escapes = result.escapes or self._is_foreign(target)
                case ast.Tuple(elts=items) | ast.List(elts=items):
                    yield from self._targets(items, result)
                case ast.Subscript(value=container) | ast.Starred(value=container):
                    yield from self._targets([container], result)
                case _:
                    pass

    def _is_foreign(self, target: ast.expr) -> bool:
        """Say whether an attribute belongs to an object that was given from outside, so that its owner may end it."""
        match target:
            case ast.Attribute(value=ast.Name(id=name) as owner) if name not in ("self", "cls"):
                _, found = self.module.bindings(name, owner)
                return bool(found) and all(isinstance(one.node, ast.arg) for one in found)
            case _:
                return False

    def _taken(self, call: ast.Call, node: ast.AST, result: Kept) -> Iterator[Place]:
        """Follow an argument: into a collection, into a class of this module, or out of sight."""
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        if isinstance(func, ast.Attribute) and name in _FILLING:
            yield from self._targets([func.value], result)
        elif name in _SAME or name == "enumerate" or name == "zip":
            yield from self._step(call, result)
        elif name in ENTERING:
            result.entered = True
        elif isinstance(node, ast.keyword) and node.arg and name in self.module.classes:
            yield None, node.arg
            result.escapes = True
        elif name not in _LOOKING and not self.names.functions(call):
            result.escapes = True
