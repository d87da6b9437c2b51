"""`TaskUses`: what a function does with the tasks it has made, and whether it would notice that they start later."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import LOOPS, own_nodes, start_of
from penstock_migrations._code.tree import walk
from penstock_migrations._fanout.holders import holders_of, is_counted
from penstock_migrations._fanout.patterns import collections_of
from penstock_migrations._fanout.work import GATHERS, WAITS

__all__ = ["TaskUses"]

_SUSPENDING = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)
_GROWING = frozenset({"append", "add", "extend", "discard", "remove"})
_HARMLESS = _GROWING | {"add_done_callback", "result", "exception", "values", "items"}
_KEEPERS = frozenset({"list", "set", "tuple", "dict"})


class TaskUses:
    """What becomes of the tasks that one call makes."""

    def __init__(self, module: Module, creation: ast.Call) -> None:
        self.module = module
        self.creation = creation
        self.function = self.place(module, creation)
        self._waits = self._in_place()
        self._held = [] if self._waits or self._is_left() else holders_of(module, self.function, creation)
        self._tasks = self._derived(self._held or [])
        self._waits += [node for node in own_nodes(self.function) if self._is_wait(node)]

    @staticmethod
    def place(module: Module, node: ast.AST) -> Function | ast.Module:
        """Return the function, or else the module, that does something."""
        return module.function(node) or module.tree

    @property
    def kept_in(self) -> list[str]:
        """The expressions that hold the tasks, as source text."""
        return [*(self._held or []), *collections_of(self.module, self.creation)]

    @property
    def is_waited_for(self) -> bool:
        """Whether the function waits for the tasks."""
        return bool(self._waits)

    def doubt(self) -> str | None:
        """Say what could notice that the tasks start later; None if nothing could."""
        if self._is_kept_elsewhere():
            return "the tasks are kept beyond the function: whoever finds them may expect that all have started"
        if any(not self._is_harmless(node) for node in self._mentions()):
            return "the tasks are used for more than being waited for: may that expect that all have started?"
        if any(self._is_meanwhile(node) for node in own_nodes(self.function) if isinstance(node, _SUSPENDING)):
            return "the function waits for something else meanwhile: may it expect that all tasks have started?"
        return None

    def _in_place(self) -> list[ast.AST]:
        """Return the wait that the tasks are made for, in its own arguments."""
        around = [node for node in self.module.ancestors(self.creation) if isinstance(node, ast.Call)]
        return [call for call in around if self.module.qualified(call.func) in WAITS | GATHERS]

    def _is_left(self) -> bool:
        """Say whether nothing holds the tasks."""
        match self.module.statement(self.creation):
            case ast.Expr(value=ast.ListComp(elt=made)) | ast.Expr(value=made):
                return made is self.creation
            case _:
                return False

    def _derived(self, held: list[str]) -> frozenset[str]:
        """Return the names that hold the tasks, or each of them in a loop."""
        names = set(held)
        for node in walk(self.function):
            match node:
                case ast.For(target=target, iter=iterable) | ast.comprehension(target=target, iter=iterable):
                    if self._iterated(iterable) in held:
                        names |= {part.id for part in walk(target) if isinstance(part, ast.Name)}
                case _:
                    pass
        return frozenset(names)

    def _iterated(self, iterable: ast.expr) -> str:
        match iterable:
            case ast.Name(id=name) | ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="values" | "items")):
                return name
            case _:
                return ""

    def _is_wait(self, node: ast.AST) -> bool:
        """Say whether a node waits for the tasks that a name holds."""
        awaits = isinstance(node, ast.Await)
        names = awaits or (isinstance(node, ast.Call) and self.module.qualified(node.func) in WAITS | GATHERS)
        return names and any(isinstance(part, ast.Name) and part.id in self._tasks for part in walk(node))

    def _mentions(self) -> list[ast.Name]:
        names = [node for node in walk(self.function) if isinstance(node, ast.Name) and node.id in self._tasks]
        return [name for name in names if isinstance(name.ctx, ast.Load)]

    def _is_kept_elsewhere(self) -> bool:
        """Say whether something else than names of the function holds the tasks."""
        if self._held is None or self._is_handed_on():
            return True
        return any(self.module.bindings(name, self.creation)[0] is not self.function for name in self._held) or any(
            not name.isidentifier() for name in collections_of(self.module, self.creation)
        )

    def _is_handed_on(self) -> bool:
        """Say whether the tasks are made for something that neither only keeps them nor waits for them."""
        for around in self.module.ancestors(self.creation):
            if around in self._waits or isinstance(around, ast.stmt):
                return False
            match around:
                case ast.Call(func=ast.Name(id=name)) if name in _KEEPERS:
                    continue
                case ast.Call(func=ast.Attribute(value=ast.Name(), attr=method)) if method in _GROWING:
                    continue
                case ast.Call() | ast.Await() | ast.Lambda():
                    return True
                case _:
                    continue
        return False

    def _is_harmless(self, name: ast.Name) -> bool:
        """Say whether a use of a task, or of what holds them, is no more than keeping and waiting."""
        parent = self.module.parents[name]
        if is_counted(self.module, name) or any(self.module.contains(wait, name) for wait in self._waits):
            return True
        match parent:
            case ast.Attribute(attr=attribute):
                return attribute in _HARMLESS
            case ast.Subscript(ctx=ast.Store()):
                return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method)):
                return owner in self._tasks and method in _GROWING
            case ast.For(iter=iterable) | ast.comprehension(iter=iterable):
                return iterable is name
            case _:
                return False

    def _is_meanwhile(self, node: ast.AST) -> bool:
        """Say whether a node lets the tasks run before the function waits for them."""
        if any(self.module.contains(node, wait) or self.module.contains(wait, node) for wait in self._waits):
            return isinstance(node, ast.AsyncWith) and not self.module.contains(node, self.creation)
        if self.module.contains(node, self.creation):  # entered before, but left, or turned, before the wait
            return isinstance(node, ast.AsyncWith | ast.AsyncFor)
        loops = [one for one in self.module.ancestors(self.creation) if isinstance(one, LOOPS)]
        making = [one for one in loops if not any(self.module.contains(one, wait) for wait in self._waits)]
        if any(self.module.contains(loop, node) for loop in making):
            return True
        first = min(map(start_of, self._waits), default=None)
        return start_of(self.creation) < start_of(node) and (first is None or start_of(node) < first)
