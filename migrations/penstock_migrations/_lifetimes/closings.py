"""`Closings`: the attributes that a module closes somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import TEARDOWN, mentions
from penstock_migrations._lifetimes.resources import CLOSERS

__all__ = ["ENDING", "Closings"]

# What a function or method is called that ends things.
ENDING = TEARDOWN | frozenset({"aexit", "closing", "del", "destroy", "exit", "finalize", "teardown", "unload"})

_ENDERS = frozenset({ast.Attribute, ast.Call, ast.FunctionDef, ast.AsyncFunctionDef, ast.withitem})


class Closings:
    """Answers which attributes one module closes: `self.x` of a class and its kin, `runtime.x` of any object."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def closes(self, attribute: str, node: ast.AST, *, own: bool) -> bool:
        """Say whether an attribute is closed somewhere, or what a method or property returns of it.

        Args:
            attribute: Its name.
            node: Where it gets its value.
            own: It is an attribute of self.
        """
        around = self.module.class_around(node) if own else None
        names = {attribute, *self._names_of.get(attribute, ())}
        return any(self._is_kin(around, one) for name in names for one in self._closed.get(name, ()))

    def _is_kin(self, owner: ast.ClassDef | None, closing: ast.ClassDef | None) -> bool:
        if owner is None or closing is None or owner is closing:
            return True
        return closing in self._ancestors(owner) or owner in self._ancestors(closing)

    def _ancestors(self, around: ast.ClassDef) -> set[ast.ClassDef]:
        found, waiting = set[ast.ClassDef](), [around]
        while waiting:
            bases = {self.module.classes.get(last_name(base)) for base in waiting.pop().bases}
            new = {base for base in bases if base is not None and base not in found}
            found |= new
            waiting.extend(new)
        return found

    @cached_property
    def _closed(self) -> dict[str, set[ast.ClassDef | None]]:
        """Which classes close an attribute of self by that name; None where it may be any object's."""
        found: dict[str, set[ast.ClassDef | None]] = {}
        for node in self.module.parents:
            if node.__class__ not in _ENDERS:
                continue
            for name, own in self._closed_by(node):
                found.setdefault(name, set()).add(self.module.class_around(node) if own else None)
        return found

    @cached_property
    def _names_of(self) -> dict[str, set[str]]:
        """Which functions return an attribute, by attribute."""
        found: dict[str, set[str]] = {}
        for name, function in ((name, one) for name, some in self.module.functions.items() for one in some):
            for value in self.module.returned_by(function):
                if isinstance(value, ast.Attribute):
                    found.setdefault(value.attr, set()).add(name.rpartition(".")[2])
        return found

    def _closed_by(self, node: ast.AST) -> Iterator[tuple[str, bool]]:
        match node:
            case ast.Attribute(value=holder, attr=name) if name in CLOSERS:
                yield from self._held(holder)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if mentions(node.name, ENDING):
                yield from _mentioned(self.module, node)
            case ast.withitem(context_expr=ast.Attribute() as entered):
                yield entered.attr, _is_self(entered.value)
            case ast.Call(func=func) if mentions(last_name(func), ENDING) or last_name(func).startswith("enter_"):
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from _attributes(argument)

    def _held(self, holder: ast.expr) -> Iterator[tuple[str, bool]]:
        """Yield the attributes that an expression may stand for."""
        if not isinstance(holder, ast.Name):
            yield from _attributes(holder)
            return
        for binding in self.module.bindings(holder.id, holder)[1]:
            if binding.value is not None:
                yield from _attributes(binding.value)
                yield from self._copied(binding.value)

    def _copied(self, value: ast.expr) -> Iterator[tuple[str, bool]]:
        """Yield the attributes that local names within stand for: `clients = list(self._clients)`."""
        for node in walk(value):
            if isinstance(node, ast.Name):
                for binding in self.module.bindings(node.id, node)[1]:
                    if binding.value is not None and binding.value is not value:
                        yield from _attributes(binding.value)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _attributes(node: ast.expr) -> Iterator[tuple[str, bool]]:
    """Yield the attributes that an expression is made of, and their names where `getattr` spells them."""
    for one in walk(node):
        match one:
            case ast.Attribute(value=owner, attr=name):
                yield name, _is_self(owner)
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str() as name), *_]):
                yield name, _is_self(owner)


def _mentioned(module: Module, function: Function) -> Iterator[tuple[str, bool]]:
    """Yield the attributes that a function hands on, loops over or looks at, without what it only calls."""
    for node in own_nodes(function):
        if not isinstance(node, ast.Attribute) or isinstance(module.parents[node], ast.Attribute):
            continue
        if isinstance(node.ctx, ast.Load):
            yield node.attr, _is_self(node.value)
