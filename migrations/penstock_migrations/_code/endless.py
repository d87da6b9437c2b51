"""Recognises what may never end, or waits for its peers: bounded, the rest of it might never start."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes
from penstock_migrations._code.vocabulary import ENDLESS, mentions, words

__all__ = ["ENDLESS_WORK", "may_never_end", "never_ends", "waits_for_event"]

ENDLESS_WORK = "the work may never end or waits for its peers: bounded, the rest might never start"
_PEERS = frozenset({"Barrier", "Condition"})
_EVENTS = frozenset({"Event"})
_TAKING = frozenset({"recv", "receive", "accept", "get"})


def may_never_end(names: Reaching, call: ast.Call) -> bool:
    """Say whether what a call starts may never end: by its body where that is in this module, else by its name."""
    if functions := names.functions(call):
        return any(never_ends(names, function) for function in functions)
    return mentions(last_name(call.func), ENDLESS) or _waits_for_peers(names, call)


def never_ends(names: Reaching, function: Function) -> bool:
    """Say whether a function may never end, or waits for its peers."""
    nodes = list(own_nodes(function))
    waits = any(isinstance(node, ast.Await) and _waits_for_peers(names, node.value) for node in nodes)
    return waits or any(isinstance(node, ast.While) and _runs_on(names, function, node) for node in nodes)


def waits_for_event(names: Reaching, call: ast.Call) -> bool:
    """Say whether what a call starts waits for what another of its kind may have to do: an event, a future, a state."""
    return any(_waits_for_others(names, function) for function in names.functions(call))


def _waits_for_others(names: Reaching, function: Function) -> bool:
    nodes = list(own_nodes(function))
    awaited = [node.value for node in nodes if isinstance(node, ast.Await)]
    if any(_waits_for(names, one, _EVENTS) or _is_shared(names, function, one) for one in awaited):
        return True
    if any(_takes(names, function, one) for one in awaited):
        return True
    return any(isinstance(node, ast.While) and _only_sleeps(node) for node in nodes)


def _is_shared(names: Reaching, function: Function, node: ast.expr) -> bool:
    """Say whether an awaited object was made elsewhere: a future of the object, of a collection, of a closure."""
    match node:
        case ast.Attribute() | ast.Subscript():
            return True
        case ast.Name(id=name):
            scope, found = names.module.bindings(name, node)
            return bool(found) and scope is not function
        case _:
            return False


def _only_sleeps(loop: ast.While) -> bool:
    """Say whether a loop polls: it does nothing but sleep until something else has happened."""
    match loop.body:
        case [ast.Expr(value=ast.Await(value=ast.Call(func=func)))]:
            return last_name(func) == "sleep"
        case _:
            return False


def _waits_for_peers(names: Reaching, node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="join"), args=[]):
            return True
        case _:
            return _waits_for(names, node, _PEERS)


def _waits_for(names: Reaching, node: ast.expr, classes: frozenset[str]) -> bool:
    """Say whether an expression is the `wait` of an object of some class, by what it is made by or called."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="wait" | "wait_for")):
            made = [last_name(value.func) for value in names.values(owner) if isinstance(value, ast.Call)]
            called = frozenset(word for name in classes for word in words(name))
            return mentions(last_name(owner), called) or not classes.isdisjoint(made)
        case _:
            return False


def _runs_on(names: Reaching, function: Function, loop: ast.While) -> bool:
    """Say whether a loop runs until it is cancelled, or takes its work from a queue that others fill."""
    nodes = list(own_nodes(loop))
    leaves = any(isinstance(node, ast.Return | ast.Break) for node in nodes)
    if isinstance(loop.test, ast.Constant) and loop.test.value and not leaves:
        return True
    return any(isinstance(node, ast.Await) and _takes(names, function, node.value) for node in nodes)


def _takes(names: Reaching, function: Function, node: ast.expr) -> bool:
    """Say whether an expression takes something that was put in elsewhere."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name) as owner, attr=method), args=[]):
            scope, found = names.module.bindings(name, owner)
            given = scope is not function or any(isinstance(binding.node, ast.arg) for binding in found)
            return method in _TAKING and given
        case ast.Call(func=ast.Attribute(attr=method), args=[]):
            return method in _TAKING
        case _:
            return False
