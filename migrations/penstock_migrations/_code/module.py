"""`Module`: one parsed file, indexed in one traversal, so that every rule can ask instead of walking again."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, TypeVar

from penstock_migrations._code.tree import LEAVES, backwards

__all__ = ["Binding", "Function", "Module", "Scope"]

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
T = TypeVar("T")
N = TypeVar("N", bound=ast.AST)
_ByFunction = dict[Function | None, list[N]]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_FUNCTION_KINDS = frozenset(_FUNCTIONS)
_SCOPE_KINDS = frozenset(_SCOPES)
_NAMING_KINDS = frozenset({*_SCOPES, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp})
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


class _Place(NamedTuple):
    """Where in a module a node stands.

    Attributes:
        function: The innermost function around it.
        scope: The innermost function, lambda or module.
        class_: The innermost class.
        name: The qualified name of the innermost function or class, with a dot; empty outside of both.
    """

    function: Function | None
    scope: Scope
    class_: ast.ClassDef | None = None
    name: str = ""


@cache
def _first_and_last_words(names: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(name.partition(".")[0] for name in names), frozenset(name.rpartition(".")[2] for name in names)


@dataclass(slots=True)
class Module:
    """A parsed file and the index of its names.

    Attributes:
        tree: The tree.
        text: The text that it was parsed from.
        parents: The node around each node.
        calls: Every call, in the order of the text.
        lambdas: Every lambda.
        ifs: Every `if` statement.
        yields: Every `yield`.
        functions: The functions of each qualified name.
        classes: The class of each qualified name.
        imports: What imported names stand for.
        reimported: The names that are imported more than once, as different things.
        called: The last words of what is called: `f` of `f()` and `a.b.f()`.
        names: Every name that is imported, bound or defined anywhere, and every attribute of self.
        roots: The first words of what is imported; "" for what is imported from nearby.
    """

    tree: ast.Module
    text: str
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    calls: list[ast.Call] = field(default_factory=list)
    lambdas: list[ast.Lambda] = field(default_factory=list)
    ifs: list[ast.If] = field(default_factory=list)
    yields: list[ast.Yield] = field(default_factory=list)
    functions: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    reimported: set[str] = field(default_factory=set)
    called: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    roots: frozenset[str] = frozenset()
    _analyses: dict[type, Any] = field(default_factory=dict)
    _names: dict[tuple[ast.AST, str], list[Binding]] = field(default_factory=lambda: defaultdict(list))
    _called: dict[str, list[tuple[int, ast.Call]]] = field(default_factory=lambda: defaultdict(list))
    _qualnames: dict[ast.AST, str] = field(default_factory=dict)
    _aliases: set[str] = field(default_factory=set)
    _calls_in: _ByFunction[ast.Call] = field(default_factory=lambda: defaultdict(list))
    _blocks_in: _ByFunction[ast.With | ast.AsyncWith | ast.While] = field(default_factory=lambda: defaultdict(list))
    _awaits_in: _ByFunction[ast.Await | ast.AsyncFor] = field(default_factory=lambda: defaultdict(list))
    _returned_by: _ByFunction[ast.expr] = field(default_factory=lambda: defaultdict(list))
    _lines: list[str] | None = None
    _bound: set[str] = field(default_factory=set)
    _stack: list[Any] = field(default_factory=list)  # while indexing: what is to come, and the places to come back to
    _place: _Place = field(init=False)

    def __post_init__(self) -> None:
        self._place = _Place(None, self.tree)
        visits = self._visits()
        parents: dict[Any, ast.AST] = self.parents
        stack = self._stack
        stack.append(self.tree)
        while stack:  # a loop and no recursion: generated code nests deeper than the interpreter's stack
            node = stack.pop()
            kind = node.__class__
            if kind is _Place:
                self._place = node
                continue
            if (visit := visits.get(kind)) is not None:
                visit(node)
            for name in backwards(node):
                child = getattr(node, name)
                if child.__class__ is list:
                    for one in reversed(child):
                        parents[one] = node
                        if one.__class__ not in LEAVES:
                            stack.append(one)
                else:
                    parents[child] = node
                    if child.__class__ not in LEAVES:
                        stack.append(child)
        parents.pop(None, None)  # it stands for what is missing
        self._settle_growth()
        self._bound = {name for _, name in self._names}
        self.called = frozenset(self._called)
        named = (qualname.rpartition(".")[2] for qualname in (*self.functions, *self.classes))
        self.names = frozenset((*self.imports, *self._bound, *named))
        self.roots = frozenset(target.partition(".")[0] for target in self.imports.values())

    # -- what rules ask -------------------------------------------------------------------------------------------

    def analysis(self, kind: type[T]) -> T:
        """Return an analysis of this module, made once for all rules."""
        if kind not in self._analyses:
            self._analyses[kind] = kind(self)  # type: ignore[call-arg]
        found: T = self._analyses[kind]
        return found

    def calls_of(self, *names: str) -> list[ast.Call]:
        """Return the calls whose last word is one of some names, in the order of the text: `f()`, `a.b.f()`."""
        if len(names) == 1:
            return [call for _, call in self._called.get(names[0], ())]
        return [
            call for _, call in sorted(each for name in self.called.intersection(names) for each in self._called[name])
        ]

    def calls_to(self, names: frozenset[str]) -> list[ast.Call]:
        """Return the calls of some imported names, whatever they are called here, in the order of the text."""
        roots, words = _first_and_last_words(names)
        if roots.isdisjoint(self.roots):
            return []
        renamed = [local for local, target in self.imports.items() if target in names]
        return [call for call in self.calls_of(*words, *self._aliases, *renamed) if self.qualified(call.func) in names]

    def forget(self) -> None:
        """Let go of the analyses, which hold on to the module: then nothing of it waits for the garbage collector."""
        self._analyses.clear()

    def qualified(self, node: ast.AST) -> str | None:
        """Return the imported name that an expression stands for: `asyncio.gather` for `g` after `import ... as g`."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            return None
        base = self.imports.get(root.id) or self._aliased(root)
        if base is None or root is node:
            return base
        words: list[str] = []
        while isinstance(node, ast.Attribute):
            words.append(node.attr)
            node = node.value
        return ".".join((base, *reversed(words)))

    def calls_in(self, function: Function | None) -> list[ast.Call]:
        """Return the calls of a function, not those of the functions within it; None stands for the module's own."""
        return self._calls_in.get(function, [])

    def blocks_in(self, function: Function | None) -> list[ast.With | ast.AsyncWith | ast.While]:
        """Return every `with`, `async with` and `while` of a function; None stands for the module's own code."""
        return self._blocks_in.get(function, [])

    def awaits_in(self, function: Function | None) -> list[ast.Await | ast.AsyncFor]:
        """Return every `await` and `async for` of a function; None stands for the module's own code."""
        return self._awaits_in.get(function, [])

    def returned_by(self, function: Function) -> list[ast.expr]:
        """Return what a function returns, in the order of the text, without None."""
        return self._returned_by.get(function, [])

    def _aliased(self, node: ast.Name) -> str | None:
        """Return what a name stands for that is bound once, to an attribute of an import: `gather = asyncio.gather`."""
        if node.id not in self._aliases:
            return None
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
        around = self.parents.get(node)
        while around is not None and around.__class__ not in _SCOPE_KINDS:
            around = self.parents.get(around)
        return around or self.tree  # type: ignore[return-value]

    def function(self, node: ast.AST) -> Function | None:
        """Return the innermost function around a node."""
        around = self.parents.get(node)
        while around is not None and around.__class__ not in _FUNCTION_KINDS:
            around = self.parents.get(around)
        return around  # type: ignore[return-value]

    def class_around(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the innermost class around a node."""
        around = self.parents.get(node)
        while around is not None and not isinstance(around, ast.ClassDef):
            around = self.parents.get(around)
        return around

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
        if name not in self._bound:
            return None, []
        around = self.parents.get(node)
        while around is not None:
            if around.__class__ in _NAMING_KINDS and (found := self._names.get((around, name))):
                return (around if isinstance(around, _SCOPES) else self.scope(around)), found
            around = self.parents.get(around)
        return None, []

    def attribute_bindings(self, attribute: str, node: ast.AST) -> list[Binding]:
        """Return every binding of `self.attribute` in the class around a node."""
        around = self.class_around(node)
        return self._names.get((around, attribute), []) if around is not None else []

    def character_column(self, node: ast.expr | ast.stmt) -> int:
        """Return a node's column in characters, from 0; `ast` counts UTF-8 bytes."""
        if self.text.isascii():
            return node.col_offset
        if self._lines is None:  # as the parser counts them: form feeds and other separators end none
            self._lines = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        line = self._lines[node.lineno - 1]
        return len(line.encode()[: node.col_offset].decode(errors="replace"))

    # -- indexing -------------------------------------------------------------------------------------------------

    def _visits(self) -> dict[type[ast.AST], Callable[[Any], None]]:
        """Return what is done at each kind of node; most kinds tell nothing."""
        return {
            ast.Call: self._call,
            ast.FunctionDef: self._definition,
            ast.AsyncFunctionDef: self._definition,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
            ast.Assign: self._assignment,
            ast.AnnAssign: self._binding,
            ast.NamedExpr: self._binding,
            ast.AugAssign: lambda node: self._bind(node.target, "items", node, node.value),
            ast.For: self._loop,
            ast.AsyncFor: self._async_loop,
            ast.Await: self._await,
            ast.comprehension: self._loop,
            ast.withitem: self._entry,
            ast.With: self._block,
            ast.AsyncWith: self._block,
            ast.While: self._block,
            ast.Return: self._return,
            ast.If: self.ifs.append,
            ast.Yield: self.yields.append,
        }

    def _call(self, call: ast.Call) -> None:
        self.calls.append(call)
        self._calls_in[self._place.function].append(call)
        func = call.func
        if isinstance(func, ast.Attribute):
            self._called[func.attr].append((len(self.calls), call))
            if func.attr in _GROWERS and call.args and isinstance(func.value, ast.Name | ast.Attribute):
                self._bind(func.value, _GROWERS[func.attr], call, call.args[-1])
        elif isinstance(func, ast.Name):
            self._called[func.id].append((len(self.calls), call))

    def _await(self, node: ast.Await | ast.AsyncFor) -> None:
        self._awaits_in[self._place.function].append(node)

    def _block(self, node: ast.With | ast.AsyncWith | ast.While) -> None:
        self._blocks_in[self._place.function].append(node)

    def _return(self, node: ast.Return) -> None:
        value, function = node.value, self._place.function
        is_none = isinstance(value, ast.Constant) and value.value is None
        if function is not None and value is not None and not is_none:
            self._returned_by[function].append(value)

    def _class(self, node: ast.ClassDef) -> None:
        name = self._named(node)
        self.classes[name] = node
        self._enter(self._place._replace(class_=node, name=f"{name}."))

    def _assignment(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, "value", node, node.value)
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Attribute):
                self._aliases.add(target.id)

    def _binding(self, node: ast.AnnAssign | ast.NamedExpr) -> None:
        if node.value is not None:
            self._bind(node.target, "value", node, node.value)

    def _loop(self, node: ast.For | ast.AsyncFor | ast.comprehension) -> None:
        self._bind(node.target, "element", node, node.iter)

    def _async_loop(self, node: ast.AsyncFor) -> None:
        self._await(node)
        self._loop(node)

    def _entry(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self._bind(node.optional_vars, "context", node, node.context_expr)

    def _named(self, node: Function | ast.ClassDef) -> str:
        """Give a function or class its qualified name."""
        self._qualnames[node] = name = f"{self._place.name}{node.name}"
        return name

    def _enter(self, place: _Place) -> None:
        """Go to a place for what is beneath a node, and come back when that has been visited."""
        self._stack.append(self._place)
        self._place = place

    def _bind(self, target: ast.expr, kind: str, node: ast.AST, value: ast.expr, path: tuple[int, ...] = ()) -> None:
        match target:
            case ast.Name(id=name):
                self._names[self._home(node), name].append(Binding(kind, node, value, path))
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                if (around := self._place.class_) is not None:
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
        return self.parents[node] if isinstance(node, ast.comprehension) else self._place.scope

    def _settle_growth(self) -> None:
        """Give what an inner function puts into an outer function's list to the list's own scope."""
        for scope, name in [key for key, found in self._names.items() if all(one.kind in _GROWTH for one in found)]:
            owner = next((around for around in self.ancestors(scope) if (around, name) in self._names), None)
            if owner is not None and isinstance(scope, _SCOPES):
                self._names[owner, name].extend(self._names.pop((scope, name)))

    def _definition(self, function: Function) -> None:
        name = self._named(function)
        self.functions[name].append(function)
        self._parameters(function)
        self._enter(_Place(function, function, self._place.class_, f"{name}."))

    def _lambda(self, node: ast.Lambda) -> None:
        self.lambdas.append(node)
        self._parameters(node)
        self._enter(self._place._replace(scope=node))

    def _parameters(self, function: Function | ast.Lambda) -> None:
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
