"""`ThreadWork`: what a thread runs, and what the module does to make it end."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property

from penstock_migrations._code.reaching import LOOPS, last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import mentions
from penstock_migrations._threads.places import Place, Places
from penstock_migrations._threads.words import KILLING, PIPES, READING, RUNNING, WARMING

__all__ = ["ThreadWork"]

Body = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_DEEP = 3
_SELF = frozenset({"self", "cls"})


class ThreadWork:
    """What one call of `Thread` or `Timer` starts."""

    def __init__(self, places: Places, call: ast.Call, target: ast.expr | None, handed: list[ast.expr]) -> None:
        self.places = places
        self.module = places.module
        self.call = call
        self.target = target
        self.handed = handed

    # -- what runs --------------------------------------------------------------------------------------------------

    @cached_property
    def roots(self) -> list[Body]:
        """The functions of this module that the thread starts with."""
        found: list[Body] = []
        for node in [self.target, *self.handed]:
            found += self._bodies(node)
            if found:
                break
        return found

    @cached_property
    def bodies(self) -> list[Body]:
        """The functions of this module that the thread runs, directly or through calls."""
        found = list(self.roots)
        layer = found
        for _ in range(_DEEP):
            layer = [one for body in layer for one in self._callees(body) if one not in found]
            found = [*found, *dict.fromkeys(layer)]
        return found

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """The nodes that the thread runs."""
        return [node for body in self.bodies for node in own_nodes(body)]

    @cached_property
    def loops(self) -> list[ast.While]:
        """The loops of its own functions that go on for as long as something holds."""
        return [node for node in self.nodes if isinstance(node, ast.While)]

    @cached_property
    def name(self) -> str:
        """What the work is called, as far as it has a name."""
        node = self.target
        if isinstance(node, ast.Call) and node.args:
            node = node.args[0]
        if isinstance(node, ast.Attribute) and node.attr == "run" and self.handed:
            node = self.handed[0]
        return "" if node is None or isinstance(node, ast.Lambda) else ast.unparse(node)

    def _bodies(self, node: ast.expr | None) -> list[Body]:
        match node:
            case ast.Lambda():
                return [node]
            case ast.Name(id=name):
                functions: list[Body] = [*self.module.function_named(name, node)]
                if functions:
                    return functions
                _, bindings = self.module.bindings(name, node)
                values = [one.value for one in bindings if one.value is not None and one.value is not node]
                return [body for value in values for body in self._bodies(value) if not isinstance(value, ast.Name)]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return [*self.module.method_named(name, node)]
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in self.module.classes:
                return [*self.module.functions.get(f"{owner}.{name}", [])]
            case ast.Call(func=func, args=args):
                return next((found for one in [*args, func] if (found := self._bodies(one))), [])
            case _:
                return []

    def _callees(self, body: Body) -> Iterator[Body]:
        for node in own_nodes(body):
            if isinstance(node, ast.Call):
                yield from self.places.names.functions(node)
                for argument in node.args:
                    if isinstance(argument, ast.Call):
                        yield from self.places.names.functions(argument)

    def runs(self, node: ast.AST) -> bool:
        """Say whether a node is part of what the thread runs."""
        return any(self.module.contains(body, node) for body in self.bodies)

    @cached_property
    def rearms(self) -> bool:
        """Whether what runs makes its own like again: a timer that starts the next one."""
        return self.runs(self.call)

    # -- what it looks at -------------------------------------------------------------------------------------------

    def _owners(self, methods: frozenset[str]) -> set[Place]:
        """Return the places of the objects of which the thread uses some methods."""
        nodes = [node for node in self.nodes if isinstance(node, ast.Attribute) and node.attr in methods]
        if isinstance(self.target, ast.Attribute) and self.target.attr in methods:
            nodes.append(self.target)
        return self._seen(node.value for node in nodes)

    def _seen(self, nodes: Iterable[ast.expr]) -> set[Place]:
        """Return the places of what the thread sees under some names: of arguments, where they were before."""
        found: set[Place] = set()
        for node in nodes:
            if isinstance(node, ast.Name) and (node.id in _SELF or node.id in self.module.imports):
                continue
            found |= self.places.sources([node])
            if self._is_parameter(node):
                found |= self.places.sources(self.handed)
        return found

    def _is_parameter(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Name):
            return False
        scope, found = self.module.bindings(node.id, node)
        return scope in self.roots and any(isinstance(one.node, ast.arg) for one in found)

    @cached_property
    def tested(self) -> set[Place]:
        """The places that decide whether the thread goes on."""
        tests = [loop.test for loop in self.loops]
        for loop in self.nodes:
            if isinstance(loop, LOOPS):
                tests += [node.test for node in own_nodes(loop) if isinstance(node, ast.If) and _leaves(node)]
        if self.rearms:
            tests += [node.test for node in self.nodes if isinstance(node, ast.If)]
        parts = [part for test in tests for part in walk(test)]
        names = [part for part in parts if isinstance(part, ast.Name | ast.Attribute | ast.Call)]
        return self._seen(names) | self.events

    @cached_property
    def events(self) -> set[Place]:
        """The places of the events that it waits for or looks at."""
        return self._owners(frozenset({"is_set", "wait", "isSet"}))

    @property
    def queues(self) -> set[Place]:
        """The places of the queues that it takes from."""
        return self._owners(frozenset({"get", "recv", "get_many"}))

    @property
    def runners(self) -> set[Place]:
        """The places of the loops, servers and sockets that keep it busy."""
        return self._owners(RUNNING)

    def tells(self, methods: frozenset[str]) -> set[Place]:
        """Return the places of what the thread tells that it is done: an event, a future, a queue."""
        return self._owners(methods)

    # -- what it is like --------------------------------------------------------------------------------------------

    @cached_property
    def reads_pipe(self) -> bool:
        """Whether it reads what a process or a stream writes, and so ends with it."""
        if any(_is_pipe(part) for node in self.handed for part in walk(node)):
            return True
        return any(_reads(node) for node in self.nodes)

    @cached_property
    def waits_for_main(self) -> bool:
        """Whether it waits for the main thread, and so ends with it."""
        return any(isinstance(node, ast.Call) and last_name(node.func) == "main_thread" for node in self.nodes)

    @cached_property
    def watches_process(self) -> bool:
        """Whether it is there to end the process itself, and so lives as long as that."""
        return any(isinstance(node, ast.Call) and self.module.qualified(node.func) in KILLING for node in self.nodes)

    @cached_property
    def warms_up(self) -> bool:
        """Whether it does once what makes later calls faster, or opens a browser: nothing is lost if it dies."""
        if mentions(self.name, WARMING) and not self.loops:
            return True
        return any(isinstance(node, ast.Import | ast.ImportFrom) for node in self.nodes) and all(
            self._is_import(body) for body in self.roots
        )

    def _is_import(self, body: Body) -> bool:
        statements = [node for node in own_nodes(body) if isinstance(node, ast.stmt)]
        calls = [one for one in statements if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)]
        imports = [one for one in statements if isinstance(one, ast.Import | ast.ImportFrom)]
        return len(imports) > len(calls) and not any(isinstance(one, ast.While) for one in statements)


def _leaves(check: ast.If) -> bool:
    return any(isinstance(node, ast.Break | ast.Return) for node in (*check.body, *check.orelse))


def _is_pipe(node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and mentions(last_name(node), PIPES)


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=attr, value=owner)) if attr in READING:
            return any(_is_pipe(part) for part in walk(owner))
        case ast.For(iter=iterable):
            return any(_is_pipe(part) for part in walk(iterable))
        case _:
            return False
