"""`Module`: one parsed file, indexed in one traversal, so that every rule can ask instead of walking again."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["Binding", "Function", "Module", "Scope"]

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
T = TypeVar("T")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_GROWERS = {
    "append": "item",
    "add": "item",
    "appendleft": "item",
    "insert": "item",
    "setdefault": "item",
    "extend": "items",
    "update": "items",
}
_GROWTH = ("item", "items")


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One place where a name, or an attribute of self, gets or grows its value.

    Attributes:
        kind: `value` (it is bound to `value`), `item` (`value` is put into it), `items` (all of `value` are put into
            it), `element` (it is bound to each element of `value`), `parameter` or `other`.
        node: The statement, call or parameter that does it.
        value: The expression; None for parameters and what is not followed.
        path: Where the name stands in the tuple it is unpacked from, outermost first.
    """

    kind: str
    node: ast.AST
    value: ast.expr | None
    path: tuple[int, ...] = ()


@dataclass(slots=True)
class Module:
    """A parsed file and the index of its names.

    Attributes:
        tree: The tree.
        lines: The text's lines.
    """

    tree: ast.Module
    lines: list[str]
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    calls: list[ast.Call] = field(default_factory=list)
    functions: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    reimported: set[str] = field(default_factory=set)
    _analyses: dict[type, Any] = field(default_factory=dict)
    _names: dict[tuple[ast.AST, str], list[Binding]] = field(default_factory=lambda: defaultdict(list))
    _qualnames: dict[ast.AST, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stack: list[tuple[ast.AST, ast.AST | None, str]] = [(self.tree, None, "")]
        while stack:  # a loop and no recursion: generated code nests deeper than the interpreter's stack
            node, parent, qualname = stack.pop()
            if parent is not None:
                self.parents[node] = parent
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                qualname = f"{qualname}.{node.name}" if qualname else node.name
                self._qualnames[node] = qualname
            stack.extend((child, node, qualname) for child in reversed(list(ast.iter_child_nodes(node))))
            self._index(node)
        self._settle_growth()

    # -- what rules ask -------------------------------------------------------------------------------------------

    def analysis(self, kind: type[T]) -> T:
        """Return an analysis of this module, made once for all rules."""
        if kind not in self._analyses:
            self._analyses[kind] = kind(self)  # type: ignore[call-arg]
        found: T = self._analyses[kind]
        return found

    def qualified(self, node: ast.AST) -> str | None:
        """Return the imported name that an expression stands for: `asyncio.gather` for `g` after `import ... as g`."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id) or self._aliased(node)
        if isinstance(node, ast.Attribute) and (base := self.qualified(node.value)) is not None:
            return f"{base}.{node.attr}"
        return None

    def _aliased(self, node: ast.Name) -> str | None:
        """Return what a name stands for that is bound once, to an attribute of an import: `gather = asyncio.gather`."""
        _, found = self.bindings(node.id, node)
        if len(found) == 1 and found[0].kind == "value" and isinstance(value := found[0].value, ast.Attribute):
            root = value.value
            return (
                f"{self.imports[root.id]}.{value.attr}"
                if isinstance(root, ast.Name) and root.id in self.imports
                else None
            )
        return None

    def is_certain(self, node: ast.expr) -> bool:
        """Say whether an imported name can stand for one thing only: it is imported once, and bound to nothing else."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id not in self.imports:
            return True
        return root.id not in self.reimported and not self.bindings(root.id, root)[1]

    def made_call(self, func: ast.expr, arguments: list[ast.expr], call: ast.Call) -> ast.Call:
        """Return the call that another one makes by a function it is given, as `map` does, at the same place."""
        made = ast.copy_location(ast.Call(func=func, args=arguments, keywords=[]), call)
        self.parents[made] = self.parents[call]
        return made

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around a node, innermost first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def scope(self, node: ast.AST) -> Scope:
        """Return the innermost function, lambda or module around a node."""
        for around in self.ancestors(node):
            if isinstance(around, _SCOPES):
                return around
        return self.tree

    def function(self, node: ast.AST) -> Function | None:
        """Return the innermost function around a node."""
        return next((around for around in self.ancestors(node) if isinstance(around, _FUNCTIONS)), None)

    def class_around(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the innermost class around a node."""
        return next((around for around in self.ancestors(node) if isinstance(around, ast.ClassDef)), None)

    def qualname(self, node: ast.AST | None) -> str | None:
        """Return the qualified name of a function or class of this module, without `<locals>`."""
        return None if node is None else self._qualnames.get(node)

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the statement that a node is part of."""
        for around in (node, *self.ancestors(node)):
            if isinstance(around, ast.stmt):
                return around
        raise ValueError("only nodes within a statement have one")

    def contains(self, outer: ast.AST, inner: ast.AST) -> bool:
        """Say whether a node is another one or part of it."""
        return outer is inner or any(node is outer for node in self.ancestors(inner))

    def function_named(self, name: str, node: ast.AST) -> list[Function]:
        """Return the functions of this module that a bare name means, seen from a node."""
        around: ast.AST | None = node
        while around is not None:
            around = self.function(around)
            qualname = f"{self._qualnames[around]}.{name}" if around is not None else name
            if qualname in self.functions:
                return self.functions[qualname]
        return []

    def method_named(self, name: str, node: ast.AST) -> list[Function]:
        """Return the methods that `self.name` means, seen from a node: of its class, else of that class's bases."""
        waiting, seen = [self.class_around(node)], set[ast.ClassDef]()
        while waiting:
            around = waiting.pop(0)
            if around is None or around in seen:
                continue
            seen.add(around)
            if found := self.functions.get(f"{self._qualnames[around]}.{name}"):
                return found
            waiting.extend(self.classes.get(base.id) for base in around.bases if isinstance(base, ast.Name))
        return []

    def bindings(self, name: str, node: ast.AST) -> tuple[Scope | None, list[Binding]]:
        """Return the scope that a name belongs to, seen from a node, and every binding it has there."""
        for around in self.ancestors(node):
            if isinstance(around, (*_SCOPES, *_COMPREHENSIONS)) and (found := self._names.get((around, name))):
                return (around if isinstance(around, _SCOPES) else self.scope(around)), found
        return None, []

    def attribute_bindings(self, attribute: str, node: ast.AST) -> list[Binding]:
        """Return every binding of `self.attribute` in the class around a node."""
        around = self.class_around(node)
        return self._names.get((around, attribute), []) if around is not None else []

    def character_column(self, node: ast.expr) -> int:
        """Return a node's column in characters, from 0; `ast` counts UTF-8 bytes."""
        line = self.lines[node.lineno - 1]
        return len(line.encode()[: node.col_offset].decode(errors="replace"))

    # -- indexing -------------------------------------------------------------------------------------------------

    def _index(self, node: ast.AST) -> None:
        match node:
            case ast.Call():
                self.calls.append(node)
                self._growth(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self._definition(node)
            case ast.ClassDef():
                self.classes[self._qualnames[node]] = node
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case _:
                self._assignment(node)

    def _assignment(self, node: ast.AST) -> None:
        match node:
            case ast.Assign():
                for target in node.targets:
                    self._bind(target, "value", node, node.value)
            case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
                self._bind(node.target, "value", node, value)
            case ast.AugAssign():
                self._bind(node.target, "items", node, node.value)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._bind(node.target, "element", node, node.iter)
            case ast.withitem(optional_vars=ast.expr() as target):
                self._bind(target, "context", node, node.context_expr)
            case _:
                pass

    def _bind(self, target: ast.expr, kind: str, node: ast.AST, value: ast.expr, path: tuple[int, ...] = ()) -> None:
        match target:
            case ast.Name(id=name):
                self._names[self._home(node), name].append(Binding(kind, node, value, path))
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                if (around := self.class_around(node)) is not None:
                    self._names[around, name].append(Binding(kind, node, value, path))
            case ast.Subscript(value=(ast.Name() | ast.Attribute()) as container) if not path:
                self._bind(container, "item", node, value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for position, inner in enumerate(targets):
                    self._bind(inner, kind, node, value, (*path, position))
            case ast.Starred(value=inner):
                self._bind(inner, "other", node, value, path)
            case _:
                pass

    def _home(self, node: ast.AST) -> ast.AST:
        return self.parents[node] if isinstance(node, ast.comprehension) else self.scope(node)

    def _settle_growth(self) -> None:
        """Give what an inner function puts into an outer function's list to the list's own scope."""
        for scope, name in [key for key, found in self._names.items() if all(one.kind in _GROWTH for one in found)]:
            owner = next((around for around in self.ancestors(scope) if (around, name) in self._names), None)
            if owner is not None and isinstance(scope, _SCOPES):
                self._names[owner, name].extend(self._names.pop((scope, name)))

    def _growth(self, call: ast.Call) -> None:
        match call:
            case ast.Call(
                func=ast.Attribute(value=(ast.Name() | ast.Attribute()) as container, attr=method), args=[*_, item]
            ):
                if method in _GROWERS:
                    self._bind(container, _GROWERS[method], call, item)
            case _:
                pass

    def _definition(self, function: Function | ast.Lambda) -> None:
        if not isinstance(function, ast.Lambda):
            self.functions[self._qualnames[function]].append(function)
        found = function.args
        for parameter in (*found.posonlyargs, *found.args, *found.kwonlyargs, found.vararg, found.kwarg):
            if parameter is not None:
                self._names[function, parameter.arg].append(Binding("parameter", parameter, None))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                self._imported(alias.asname or name, name)
            return
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            separator = "" if base.endswith(".") or not base else "."
            self._imported(alias.asname or alias.name, f"{base}{separator}{alias.name}")

    def _imported(self, name: str, target: str) -> None:
        if self.imports.setdefault(name, target) != target:
            self.reimported.add(name)
            self.imports[name] = target
