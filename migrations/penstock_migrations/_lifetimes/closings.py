"""`Closings`: the attributes that a module closes somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes, returns
from penstock_migrations._code.vocabulary import TEARDOWN, mentions
from penstock_migrations._lifetimes.resources import CLOSERS

__all__ = ["ENDING", "Closings"]

# What a function or method is called that ends things.
ENDING = TEARDOWN | frozenset({"aexit", "closing", "del", "destroy", "exit", "finalize", "teardown", "unload"})


class Closings:
    """Answers which attributes one module closes, whatever object has them: `self.x` here is `runtime.x` there."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def closes(self, attribute: str) -> bool:
        """Say whether an attribute is closed somewhere, or what a method or property returns of it."""
        return bool(self._closed & {attribute, *self._names_of.get(attribute, ())})

    @cached_property
    def _closed(self) -> frozenset[str]:
        return frozenset(name for node in self.module.parents for name in self._closed_by(node))

    @cached_property
    def _names_of(self) -> dict[str, set[str]]:
        """Which functions return an attribute, or are made of it, by attribute."""
        found: dict[str, set[str]] = {}
        for name, function in ((name, one) for name, some in self.module.functions.items() for one in some):
            for value in returns(function):
                if isinstance(value, ast.Attribute):
                    found.setdefault(value.attr, set()).add(name.rpartition(".")[2])
        return found

    def _closed_by(self, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Attribute(value=holder, attr=name) if name in CLOSERS:
                yield from self._held(holder)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if mentions(node.name, ENDING):
                yield from _mentioned(self.module, node)
            case ast.withitem(context_expr=ast.Attribute(attr=name)):
                yield name
            case ast.Call(func=func) if mentions(last_name(func), ENDING) or last_name(func).startswith("enter_"):
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from _attributes(argument)

    def _held(self, holder: ast.expr) -> Iterator[str]:
        """Yield the attributes that an expression may stand for."""
        if not isinstance(holder, ast.Name):
            yield from _attributes(holder)
            return
        for binding in self.module.bindings(holder.id, holder)[1]:
            if binding.value is not None:
                yield from _attributes(binding.value)
                yield from self._looped_over(binding.value)

    def _looped_over(self, value: ast.expr) -> Iterator[str]:
        """Yield the attributes that a local name stands for: `clients = list(self._clients)`."""
        for node in ast.walk(value):
            if isinstance(node, ast.Name):
                for binding in self.module.bindings(node.id, node)[1]:
                    if binding.value is not None and binding.value is not value:
                        yield from _attributes(binding.value)


def _attributes(node: ast.expr) -> Iterator[str]:
    """Yield the attributes that an expression is made of, and their names where `getattr` spells them."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute):
            yield one.attr
        elif isinstance(one, ast.Call) and last_name(one.func) == "getattr" and len(one.args) > 1:
            key = one.args[1]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value


def _mentioned(module: Module, function: Function) -> Iterator[str]:
    """Yield the attributes that a function hands on, loops over or looks at, without what it only calls."""
    for node in own_nodes(function):
        match node:
            case ast.Attribute(ctx=ast.Load(), attr=name) if not isinstance(module.parents[node], ast.Attribute):
                yield name
