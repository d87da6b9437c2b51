"""`Makers`: what an object was made by, followed through names, attributes, annotations and helper functions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from penstock_migrations._blocking.known import FACTORIES
from penstock_migrations._code.following import Following
from penstock_migrations._code.module import Binding, Function, Module

__all__ = ["Makers"]

_WRAPPERS = frozenset({"Optional", "Union", "Annotated", "Final", "ClassVar", "Iterator", "Generator", "Iterable"})
_MANY = 12  # bindings that are looked at


class Makers:
    """Answers which imported class, or function, may have made what an expression stands for."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._following = Following()
        self._known: dict[tuple[object, ...], frozenset[str]] = {}

    def of(self, node: ast.expr) -> frozenset[str]:
        """Return the qualified names of the classes and functions: `requests.Session`, `boto3.client`."""
        key = self._key(node)
        if key not in self._known:
            self._known[key] = self._following.ask("makers", node, lambda: frozenset(self._of(node)), frozenset())
        return self._known[key]

    def _key(self, node: ast.expr) -> tuple[object, ...]:
        match node:
            case ast.Name(id=name):
                return name, self.module.scope(node)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return name, self.module.class_around(node), "attribute"
            case _:
                return (node,)

    def _of(self, node: ast.expr) -> Iterator[str]:
        match node:
            case ast.Name(id=name):
                yield from self._bound(self.module.bindings(name, node)[1])
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                yield from self._held(name, node)
            case ast.Call():
                yield from self._made(node)
            case ast.BoolOp(values=values):
                yield from (name for value in values for name in self.of(value))
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.of(body) | self.of(orelse)
            case ast.NamedExpr(value=value):
                yield from self.of(value)
            case _:
                pass

    def _bound(self, found: list[Binding]) -> Iterator[str]:
        for binding in found[:_MANY]:
            if isinstance(annotation := getattr(binding.node, "annotation", None), ast.expr):
                yield from self.named(annotation)
            if binding.value is not None and binding.kind in ("value", "context") and not binding.path:
                yield from self.of(binding.value)

    def _held(self, name: str, node: ast.AST) -> Iterator[str]:
        """Yield what `self.name` was made by, in the class around a node and in its bases of this module."""
        for around in self._lineage(self.module.class_around(node)):
            yield from self._bound(self.module.attribute_bindings(name, around.body[0]))
            for statement in around.body:
                if isinstance(statement, ast.AnnAssign) and _is_name(statement.target, name):
                    yield from self.named(statement.annotation)
            for function in self.module.functions.get(f"{self.module.qualname(around)}.{name}", ()):
                if any("property" in ast.unparse(one) for one in function.decorator_list):
                    yield from self._returned(function)

    def _made(self, call: ast.Call) -> Iterator[str]:
        if (imported := self.module.qualified(call.func)) is not None:
            yield imported
            return
        match call.func:
            case ast.Name(id=name) if name in self.module.classes:
                yield from self._inherited(self.module.classes[name])
            case ast.Name(id=name) if found := self.module.function_named(name, call):
                yield from self._all_returned(found)
            case ast.Name(id=name):
                bound = [one.value for one in self.module.bindings(name, call)[1][:_MANY] if one.kind == "value"]
                yield from (one for value in bound if value is not None for one in self._chosen(value))
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if found := self.module.method_named(
                name, call
            ):
                yield from self._all_returned(found)
            case ast.Attribute(value=owner, attr="__enter__"):
                yield from self.of(owner)
            case ast.Attribute(value=owner, attr=name):
                yield from (FACTORIES[f"{one}.{name}"] for one in self.of(owner) if f"{one}.{name}" in FACTORIES)
            case _:
                pass

    def _chosen(self, value: ast.expr) -> Iterator[str]:
        """Yield the imported classes that a name may stand for: `make = Secure if https else Plain`."""
        for part in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
            if (found := self.module.qualified(part)) is not None:
                yield found

    def _inherited(self, found: ast.ClassDef) -> Iterator[str]:
        """Yield the imported bases of a class."""
        for around in self._lineage(found):
            yield from (name for base in around.bases if (name := self.module.qualified(base)) is not None)

    def _lineage(self, found: ast.ClassDef | None) -> Iterator[ast.ClassDef]:
        waiting, seen = [found], set[ast.ClassDef]()
        while waiting:
            around = waiting.pop(0)
            if around is None or around in seen:
                continue
            seen.add(around)
            yield around
            waiting.extend(self.module.classes.get(base.id) for base in around.bases if isinstance(base, ast.Name))

    def _all_returned(self, functions: Iterable[Function]) -> Iterator[str]:
        for function in functions:
            if isinstance(function, ast.FunctionDef):
                yield from self._returned(function)

    def _returned(self, function: Function) -> Iterator[str]:
        if function.returns is not None:
            yield from self.named(function.returns)
        yield from (name for value in self.module.returned_by(function) for name in self.of(value))

    def named(self, annotation: ast.expr) -> Iterator[str]:
        """Yield the classes that an annotation names."""
        match annotation:
            case ast.Constant(value=str() as text):
                yield from self._quoted(text)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                yield from self.named(left)
                yield from self.named(right)
            case ast.Subscript(value=wrapper, slice=inner) if _last(wrapper) in _WRAPPERS:
                for part in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
                    yield from self.named(part)
            case ast.Name(id=name) if name in self.module.classes:
                yield from self._inherited(self.module.classes[name])
            case ast.Name() | ast.Attribute():
                if (found := self.module.qualified(annotation)) is not None:
                    yield found
            case _:
                pass

    def _quoted(self, text: str) -> Iterator[str]:
        for part in text.replace("Optional[", "").replace("]", "").split("|"):
            root, _, rest = part.strip().partition(".")
            if root in self.module.imports:
                yield self.module.imports[root] + (f".{rest}" if rest else "")


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
