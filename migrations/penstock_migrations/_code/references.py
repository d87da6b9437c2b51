"""`References`: names what a call runs, so that it can be looked up here or in another module."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Binding
from penstock_migrations._code.reaching import Reaching

__all__ = ["References"]

_WRAPPERS = frozenset({"functools.partial", "asyncio.wait_for", "asyncio.shield"})
_TYPES = 4


class References:
    """Answers what the calls of one module run: `:Class.method` here, `.sibling.name` or `package.name` elsewhere."""

    def __init__(self, names: Reaching) -> None:
        self.names = names
        self.module = names.module
        self._names = names.module.names | {"self", "cls"}

    def of(self, call: ast.Call) -> list[str]:
        """Return references of what a call runs, to be looked up in this module (`:Class.method`) or in others."""
        if isinstance(call.func, ast.Call):
            return self.of(call.func)
        if not self._is_told_of(call.func):
            return []
        found = self._reference(call.func)
        if call.args and not _WRAPPERS.isdisjoint(found):
            inner = call.args[0]
            return self.of(inner) if isinstance(inner, ast.Call) else self._reference(inner)
        return found

    def of_class(self, node: ast.expr) -> list[str]:
        """Return references of the class that an annotation, a base or a call names."""
        match node:
            case ast.BinOp(left=left, op=ast.BitOr()):
                return self.of_class(left)
            case ast.Constant(value=str() as name) | ast.Name(id=name) if name in self.module.classes:
                return [f":{name}"]
            case ast.Constant(value=str() as name):
                return [self.module.imports[name]] if name in self.module.imports else []
            case _:
                found = self.module.qualified(node)
                return [found] if found is not None else []

    def _is_told_of(self, func: ast.expr) -> bool:
        """Say whether the module tells anything of the name that a function starts with; of `len` it does not."""
        root = func
        while isinstance(root, ast.Attribute):
            root = root.value
        return root.id in self._names if isinstance(root, ast.Name) else isinstance(root, ast.Call)

    def _reference(self, func: ast.expr) -> list[str]:
        if (imported := self.module.qualified(func)) is not None:
            return [imported]
        match func:
            case ast.Name(id=name):
                return [f":{self.module.qualname(found)}" for found in self.module.function_named(name, func)[:1]]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                around = self.module.qualname(self.module.class_around(func))
                return [f":{around}.{name}"] if around else []
            case ast.Attribute(value=owner, attr=name):
                return [f"{made}.{name}" for made in self._types(owner)]
            case _:
                return []

    def _types(self, node: ast.expr) -> list[str]:
        """Return references of the classes that an object may be of, by what it is bound or annotated to."""
        match node:
            case ast.Name(id=name):
                _, found = self.module.bindings(name, node)
                if len(found) > 1 and any(self._told(one) for one in found):
                    _, found = self.names.bindings(name, node)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                found = self.module.attribute_bindings(name, node)
            case ast.Call():
                return self.of_class(node.func)
            case _:
                return []
        types: list[str] = []
        for binding in found[:_TYPES]:
            told = self._told(binding)
            if told is None and isinstance(node, ast.Attribute) and isinstance(binding.value, ast.Name):
                told = self._types(binding.value) if binding.kind == "value" else None
            types += told or ()
        return types

    def _told(self, binding: Binding) -> list[str] | None:
        """Return references of the class that an annotation names, or a call makes; None without either."""
        if isinstance(annotation := getattr(binding.node, "annotation", None), ast.expr):
            return self.of_class(annotation)
        return self.of_class(binding.value.func) if isinstance(binding.value, ast.Call) else None
