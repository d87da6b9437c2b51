"""`Endings`: what a module does anywhere to end things, indexed once for all its threads and executors."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import mentions
from penstock_migrations._threads.places import Place, Places, meet
from penstock_migrations._threads.words import ENTERING, SENTINELS, STOPPING, is_teardown

__all__ = ["Endings"]

_COMPLETING = frozenset({"__init__", "__new__", "__post_init__", "start", "__enter__", "__aenter__"})


class Endings:
    """Every use of a method, every entered context and every assignment of a constant in a module."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.module: Module = places.module
        self._methods: dict[str, list[ast.Attribute]] = defaultdict(list)
        self._entered: list[ast.expr] = []
        self._flags: dict[str, list[ast.expr]] = defaultdict(list)
        self._known: dict[ast.AST, set[Place]] = {}
        for node in walk(self.module.tree):
            self._index(node)

    def _index(self, node: ast.AST) -> None:
        match node:
            case ast.Attribute(ctx=ast.Load(), attr=name):
                self._methods[name].append(node)
            case ast.withitem(context_expr=entered):
                self._entered.append(entered)
            case ast.Call(func=func, args=[entered, *_]) if last_name(func) in ENTERING:
                self._entered.append(entered)
            case ast.Assign(targets=targets, value=ast.Constant() | ast.Attribute() | ast.Name()):
                for target in targets:
                    if isinstance(target, ast.Name | ast.Attribute):
                        self._flags[target.id if isinstance(target, ast.Name) else target.attr].append(target)
            case _:
                pass

    def _sources(self, node: ast.expr) -> set[Place]:
        if node not in self._known:
            self._known[node] = self.places.sources([node])
        return self._known[node]

    def uses(self, methods: frozenset[str], places: set[Place], outside: Callable[[ast.AST], bool]) -> bool:
        """Say whether a method is called, or handed on, of what may have come from some places."""
        found = [node for name in methods for node in self._methods.get(name, ())]
        return any(outside(node) and meet(self._sources(node.value), places) for node in found)

    def enters(self, places: set[Place]) -> bool:
        """Say whether a `with` enters what may have come from some places."""
        return any(meet(self._sources(node), places) for node in self._entered)

    def tears_down(self, places: set[Place], outside: Callable[[ast.AST], bool]) -> bool:
        """Say whether a method that ends things, by its name, is used of some places, or such an attribute is set."""
        if not places:
            return False
        methods = frozenset(name for name in self._methods if is_teardown(name) and name != "join")
        if self.uses(methods, places, outside):
            return True
        flags = [node for name, found in self._flags.items() if is_teardown(name) for node in found]
        owners = [node.value for node in flags if isinstance(node, ast.Attribute) and outside(node)]
        return any(meet(self._sources(owner), places) for owner in owners)

    def tells_to_stop(self, places: set[Place], outside: Callable[[ast.AST], bool]) -> bool:
        """Say whether, where things are ended, an object of some places is told to stop."""
        methods = frozenset(name for name in self._methods if mentions(name, STOPPING))
        return bool(places) and self.uses(methods, places, lambda node: self.is_ending(node) and outside(node))

    def sentinel(self, queues: set[Place], outside: Callable[[ast.AST], bool]) -> bool:
        """Say whether something that means the end is put into a queue, or anything where things are ended."""
        return bool(queues) and any(
            outside(call)
            and isinstance(call.func, ast.Attribute)
            and (any(map(_is_sentinel, call.args)) or self.is_ending(call))
            and meet(self._sources(call.func.value), queues)
            for call in self.module.calls_of("put", "put_nowait", "send", "append")
        )

    def flags(self, places: set[Place], after: ast.Call, outside: Callable[[ast.AST], bool]) -> Iterator[ast.expr]:
        """Yield where a constant is assigned to one of some places, other than before the work starts."""
        here = self.module.function(after)
        for name in {name for _, name in places}:
            for node in self._flags.get(name, ()):
                function = self.module.function(node)
                if function is None or not outside(node):
                    continue
                begins = function.name in _COMPLETING or (function is here and node.lineno < after.lineno)
                place = self.places.of(node)
                if not begins and place is not None and meet([place], places):
                    yield node

    def is_ending(self, node: ast.AST) -> bool:
        """Say whether a node stands where things are ended: in such a method, or in a `finally`."""
        inner = node
        for around in self.module.ancestors(node):
            if isinstance(around, ast.Try) and inner in around.finalbody:
                return True
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and is_teardown(around.name):
                return around.name != "__del__"  # a running thread keeps its object, so that this is never called
            inner = around
        return False


def _is_sentinel(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=None | False):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return mentions(name, SENTINELS)
        case ast.Constant(value=str() as text):
            return mentions(text, SENTINELS)
        case ast.Call(func=func):
            return _is_sentinel(func)
        case ast.Tuple(elts=items):
            return bool(items) and any(map(_is_sentinel, items))
        case _:
            return False
