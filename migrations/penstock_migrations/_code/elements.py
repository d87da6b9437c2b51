"""`Elements`: what a collection holds, followed through names, comprehensions, appends and helper functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock_migrations._code.module import Binding, Function
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes
from penstock_migrations._code.sizes import Size, Sizes
from penstock_migrations._code.vocabulary import CHUNK, LIMITER, mentions

__all__ = ["Element", "Elements"]

_SAME = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter"})
_SAME_METHODS = frozenset({"values", "copy"})
_CHAINS = frozenset({"itertools.chain", "itertools.chain.from_iterable"})


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """What a collection is filled with at one place.

    Attributes:
        value: The expression; None where it cannot be seen.
        size: What the number of such elements depends on.
        parameter: The parameter that brings it from outside, if one does.
        over: What the loop iterates over that makes the number, where there is one.
    """

    value: ast.expr | None
    size: Size
    parameter: ast.arg | None = None
    over: ast.expr | None = None


class Elements:
    """Answers what the collections of one module hold."""

    def __init__(self, names: Reaching, sizes: Sizes) -> None:
        self.names = names
        self.sizes = sizes

    def of(self, node: ast.expr) -> list[Element]:
        """Return what a collection holds."""
        answer = _KINDS.get(type(node), _unseen)
        return self.sizes.following.ask("elements", node, lambda: list(answer(self, node)), [])

    # -- collections ------------------------------------------------------------------------------------------------

    def display(self, items: Iterable[ast.expr]) -> Iterator[Element]:
        """Yield the elements of a list, tuple, set or of a dict's values, as they stand there."""
        for item in items:
            yield from self.of(item) if isinstance(item, ast.Starred) else self.followed(Element(item, Size.CONSTANT))

    def comprehension(self, item: ast.expr, generators: Sequence[ast.comprehension]) -> list[Element]:
        """Return what a comprehension makes."""
        return self.followed(Element(item, self.sizes.turns(generators), over=self.sizes.decisive(generators)))

    def part(self, node: ast.Subscript) -> list[Element]:
        """Return the elements of a slice."""
        if not isinstance(node.slice, ast.Slice):
            return _unseen(self, node)
        size = self.sizes.size(node)
        return [replace(element, size=min(element.size, size)) for element in self.of(node.value)]

    def call(self, call: ast.Call) -> Iterator[Element]:
        """Yield the elements of what a call returns."""
        name = self.names.called(call)
        if name == "map" and len(call.args) > 1:
            made = self.names.module.made_call(call.args[0], [], call)
            yield Element(made, self.sizes.size(call), over=call.args[1])
        elif name == "filter" and len(call.args) > 1:
            yield from self.of(call.args[1])
        elif (name in _SAME and call.args) or name in _CHAINS:
            for argument in call.args[: None if name in _CHAINS else 1]:
                yield from self.of(argument)
        elif isinstance(call.func, ast.Attribute) and call.func.attr in _SAME_METHODS and not call.args:
            yield from self.of(call.func.value)
        elif functions := self.names.functions(call):
            for function in functions:
                yield from self._returned(function)
        elif len(call.args) == 1 and not call.keywords and name not in self.names.module.classes:
            yield from self._handed_on(call)
        else:
            yield Element(None, self.sizes.size(call))

    def _handed_on(self, call: ast.Call) -> list[Element]:
        """Take what an unknown function does to a collection of calls for an order, a filter or a flattening."""
        found = [element for element in self.of(call.args[0]) if isinstance(element.value, ast.Call)]
        return [] if mentions(last_name(call.func), LIMITER | CHUNK) else found or _unseen(self, call)

    def _returned(self, function: Function) -> Iterator[Element]:
        for node in own_nodes(function):
            match node:
                case ast.Return(value=ast.expr() as value) | ast.YieldFrom(value=value):
                    yield from self.of(value)
                case ast.Yield(value=ast.expr() as value):
                    turns = self.sizes.turns(self.names.loops_of_growth(node, None))
                    yield from self.followed(Element(value, turns))
                case _:
                    pass

    def name(self, node: ast.Name) -> Iterator[Element]:
        """Yield the elements of what a name holds."""
        most = Size.LIMITED if self.sizes.is_cut(node) else Size.DATA
        found = self._bound(node, *self.names.bindings(node.id, node))
        yield from (replace(one, size=min(one.size, most)) for one in found)

    def attribute(self, node: ast.Attribute) -> Iterator[Element]:
        """Yield the elements of what `self.name` holds."""
        own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        yield from self._bound(node, None, self.names.module.attribute_bindings(node.attr, node) if own else [])

    def _bound(self, node: ast.expr, origin: ast.AST | None, found: list[Binding]) -> Iterator[Element]:
        for binding in found:
            value = binding.value
            loops = self.names.loops_of_growth(binding.node, origin)
            turns = self.sizes.turns(loops)
            if value is None or binding.path or binding.kind not in {"value", "item", "items"}:
                parameter = binding.node if isinstance(binding.node, ast.arg) else None
                yield Element(None, self.sizes.size(node), parameter)
            elif binding.kind == "value":
                yield from self.of(value)
            elif binding.kind == "item":
                yield from self.followed(Element(value, turns, over=self.sizes.decisive(loops)))
            else:
                yield from (replace(one, size=max(one.size, turns)) for one in self.of(value))
        if not found:
            yield Element(None, self.sizes.size(node))

    # -- elements that are names ------------------------------------------------------------------------------------

    def followed(self, element: Element) -> list[Element]:
        """Follow an element that is a name to what it was bound to, as often as needed."""
        value = element.value
        if isinstance(value, ast.IfExp):
            return [one for part in (value.body, value.orelse) for one in self.followed(replace(element, value=part))]
        if not isinstance(value, ast.Name):
            return [element]
        _, found = self.names.bindings(value.id, value)
        found = [binding for binding in found if binding.kind in ("value", "element", "parameter")]
        if not found:
            return [element]
        return self.sizes.following.ask(
            "element", value, lambda: [one for binding in found for one in self._follow(element, binding)], []
        )

    def _follow(self, element: Element, binding: Binding) -> Iterator[Element]:
        if isinstance(binding.node, ast.arg):
            yield replace(element, parameter=binding.node)
        elif binding.kind == "value" and binding.value is not None and not binding.path:
            yield from self.followed(replace(element, value=binding.value))
        elif binding.kind == "element" and binding.value is not None:
            for inner in self._unpacked(binding.value, binding.path):
                yield replace(inner, size=max(inner.size, element.size)) if inner.value is None else inner
        else:
            yield element

    def _unpacked(self, iterable: ast.expr, path: tuple[int, ...]) -> Iterator[Element]:
        """Yield the elements of an iterable, or what stands at one place of the tuples it consists of."""
        match iterable, path:
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]), (1, *rest):
                yield from self._unpacked(inner, tuple(rest))
            case ast.Call(func=ast.Name(id="zip"), args=arguments), (place, *rest) if place < len(arguments):
                yield from self._unpacked(arguments[place], tuple(rest))
            case ast.Call(func=ast.Attribute(value=inner, attr="items")), (1, *rest):
                yield from self._unpacked(inner, tuple(rest))
            case ast.Call(func=ast.Attribute(value=inner, attr="items")), (0, *_):
                yield Element(None, self.sizes.size(inner))
            case _:
                for element in self.of(iterable):
                    yield from self._picked(element, path)

    def _picked(self, element: Element, path: tuple[int, ...]) -> list[Element]:
        value = element.value
        for place in path:
            elts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            value = elts[place] if place < len(elts) else None
        picked = replace(element, value=value)
        return self.followed(picked) if path and value is not None else [picked]


def _unseen(elements: Elements, node: ast.expr) -> list[Element]:
    return [Element(None, elements.sizes.size(node))]


_KINDS: dict[type[ast.expr], Callable[[Elements, Any], Iterable[Element]]] = {
    ast.Attribute: Elements.attribute,
    ast.Await: lambda elements, node: elements.of(node.value),
    ast.BinOp: lambda elements, node: [*elements.of(node.left), *elements.of(node.right)],
    ast.BoolOp: lambda elements, node: [one for value in node.values for one in elements.of(value)],
    ast.Call: Elements.call,
    ast.Dict: lambda elements, node: elements.display(node.values),
    ast.DictComp: lambda elements, node: elements.comprehension(node.value, node.generators),
    ast.GeneratorExp: lambda elements, node: elements.comprehension(node.elt, node.generators),
    ast.IfExp: lambda elements, node: [*elements.of(node.body), *elements.of(node.orelse)],
    ast.List: lambda elements, node: elements.display(node.elts),
    ast.ListComp: lambda elements, node: elements.comprehension(node.elt, node.generators),
    ast.Name: Elements.name,
    ast.NamedExpr: lambda elements, node: elements.of(node.value),
    ast.Set: lambda elements, node: elements.display(node.elts),
    ast.SetComp: lambda elements, node: elements.comprehension(node.elt, node.generators),
    ast.Starred: lambda elements, node: elements.of(node.value),
    ast.Subscript: Elements.part,
    ast.Tuple: lambda elements, node: elements.display(node.elts),
}
