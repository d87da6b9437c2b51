"""`Sizes`: what the number of elements of an iterable depends on."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Iterable
from typing import Any

from penstock_migrations._code.following import Following
from penstock_migrations._code.module import Binding
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes, start_of
from penstock_migrations._code.vocabulary import CHUNK, CONFIGURED, DATA, SETTINGS, WORKER, mentions, says, vocabulary

__all__ = ["Size", "Sizes"]

_SAME = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter", "enumerate", "dict", "deque"})
_SAME_METHODS = frozenset({"values", "items", "keys", "copy", "get", "setdefault", "pop", "union", "difference"})
_CHAINS = frozenset({"itertools.chain", "itertools.chain.from_iterable"})
_PARTS = frozenset({"itertools.islice", "itertools.batched", "random.sample", "heapq.nlargest", "heapq.nsmallest"})


Headed = ast.For | ast.AsyncFor | ast.comprehension


class Size(enum.IntEnum):
    """What a number depends on, from the harmless to the unbounded."""

    CONSTANT = 0
    LIMITED = 1
    CONFIGURED = 2
    OWN = 3
    ARRIVALS = 4
    DATA = 5


_TOTAL = vocabulary("total totals count counts num number expected wanted")  # how many there are, not how many may be


class Sizes:
    """Answers what sizes and numbers in one module depend on."""

    def __init__(self, names: Reaching) -> None:
        self.names = names
        self.following = Following()

    def size(self, node: ast.expr) -> Size:
        """Say what the number of elements of an iterable depends on."""
        answer = _SIZES.get(type(node), _unknown)
        # a name in terms of itself: its other bindings decide
        return self.following.ask("size", node, lambda: answer(self, node), Size.CONSTANT)

    def number(self, node: ast.expr) -> Size:
        """Say what a number depends on."""
        answer = _NUMBERS.get(type(node), _unknown)
        return self.following.ask("number", node, lambda: answer(self, node), Size.CONSTANT)

    def turns(self, loops: Iterable[ast.AST]) -> Size:
        """Say what the number of turns of nested loops depends on; one without a head counts only if alone."""
        found = list(loops)
        return max(map(self._turns, _headed(found) or found), default=Size.CONSTANT)

    def decisive(self, loops: Iterable[ast.AST]) -> ast.expr | None:
        """Return what the loop iterates over that decides how many turns nested loops make."""
        return max((loop.iter for loop in _headed(loops)), key=self.size, default=None)

    def largest(self, nodes: Iterable[ast.expr], default: Size = Size.CONSTANT) -> Size:
        """Say what the sum of several sizes depends on."""
        return max(map(self.size, nodes), default=default)

    def largest_number(self, nodes: Iterable[ast.expr]) -> Size:
        """Say what the largest of several numbers depends on."""
        return max(map(self.number, nodes), default=Size.DATA)

    def _turns(self, loop: ast.AST) -> Size:
        if isinstance(loop, ast.AsyncFor):
            return min(self.size(loop.iter), Size.ARRIVALS)
        return self.size(loop.iter) if isinstance(loop, Headed) else Size.ARRIVALS

    # -- names and attributes ---------------------------------------------------------------------------------------

    def name_size(self, node: ast.Name) -> Size:
        """Say what the size of what a name holds depends on."""
        origin, found = self.names.bindings(node.id, node)
        if not found:
            known = node.id.isupper() or node.id in self.names.module.classes  # a constant, or an enumeration
            return Size.CONSTANT if known else _hinted(node.id, Size.DATA)
        if self.is_cut(node):
            return Size.LIMITED
        return _hinted(node.id, max(self._binding_size(node, origin, binding) for binding in found))

    def _binding_size(self, node: ast.Name, origin: ast.AST | None, binding: Binding) -> Size:
        value = binding.value
        if isinstance(value, ast.Await) and self.names.called(value.value) == "asyncio.wait":
            return Size.LIMITED  # of tasks that run already
        if binding.kind == "value" and value is not None and not binding.path:
            return self.size(value)
        if binding.kind in ("item", "items") and value is not None:
            turns = self.turns(self.names.loops_of_growth(binding.node, origin))
            return max(turns, self.size(value)) if binding.kind == "items" else turns
        if binding.kind == "element" and value is not None and self._is_chunk(node.id, value):
            return Size.LIMITED
        if isinstance(binding.node, ast.arg) and self._is_of_known_length(binding.node):
            return Size.CONSTANT
        return Size.DATA

    def _is_of_known_length(self, parameter: ast.arg) -> bool:
        """Say whether a parameter is a tuple whose elements its annotation lists; that of `*args` is its elements'."""
        arguments = self.names.module.parents[parameter]
        gathered = isinstance(arguments, ast.arguments) and parameter in (arguments.vararg, arguments.kwarg)
        return not gathered and _is_of_known_length(parameter.annotation)

    def _is_chunk(self, name: str, iterable: ast.expr) -> bool:
        """Say whether a loop variable is a chunk of limited size, not one item."""
        called = self.names.called(iterable) or last_name(iterable)
        if called in _PARTS or mentions(called, CHUNK):
            return True
        return mentions(name, CHUNK) and not isinstance(iterable, ast.Call)

    def is_cut(self, node: ast.Name) -> bool:
        """Say whether the function, or the loop, is left when the collection is longer than a limit."""
        function = self.names.module.function(node)
        return function is not None and any(
            isinstance(check, ast.If)
            and check.lineno < node.lineno
            and (limit := _length_limit(check, node.id)) is not None
            and (_leaves(check) or self._stops_growth(check, limit, node, function))
            for check in own_nodes(function)
        )

    def _stops_growth(self, check: ast.If, limit: ast.expr, node: ast.Name, function: ast.AST) -> bool:
        """Say whether a check ends the loop in which a collection grows, at a limit that is none of the data's own."""
        module = self.names.module
        around = (one for one in module.ancestors(check) if isinstance(one, ast.For | ast.AsyncFor | ast.While))
        loop = next(around, None)
        if loop is None or not any(isinstance(line, ast.Break) for line in check.body):
            return False
        if (
            isinstance(limit, ast.Subscript)
            or mentions(last_name(limit), _TOTAL)
            or self._rebound(loop, node, function)
        ):
            return False
        grown = [one for one in own_nodes(function) if _grows(one, node.id)]
        return bool(grown) and all(module.contains(loop, one) for one in grown)

    def _rebound(self, loop: ast.AST, node: ast.Name, function: ast.AST) -> bool:
        """Say whether a name gets another collection from a loop's beginning on, before it is used."""
        return any(
            isinstance(one, ast.Name)
            and one.id == node.id
            and isinstance(one.ctx, ast.Store)
            and start_of(loop) < start_of(one) < start_of(node)
            and not isinstance(self.names.module.parents[one], ast.AugAssign)
            for one in own_nodes(function)
        )

    def attribute_size(self, node: ast.Attribute) -> Size:
        """Say what the size of what an attribute holds depends on."""
        if node.attr.isupper():
            return Size.CONSTANT
        if says(last_name(node.value), SETTINGS) or says(node.attr, CONFIGURED):
            return Size.CONFIGURED
        if not isinstance(node.value, ast.Name) or node.value.id not in {"self", "cls"} or says(node.attr, DATA):
            return Size.DATA
        here = self.names.module.function(node)
        found = self.names.module.attribute_bindings(node.attr, node)
        made = [one.value for one in found if one.kind == "value" and self.names.module.function(one.node) is here]
        return self.largest([value for value in made if value is not None], Size.OWN)

    # -- calls, parts and displays ----------------------------------------------------------------------------------

    def call_size(self, call: ast.Call) -> Size:
        """Say what the size of what a call returns depends on."""
        name = self.names.called(call)
        arguments = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
        if name in _PARTS:
            return Size.LIMITED
        if name in _BUILTINS and arguments:
            return _BUILTINS[name](self, arguments)
        if name in _CHAINS and call.args:
            return self.largest(call.args)
        if isinstance(call.func, ast.Attribute) and call.func.attr in _SAME_METHODS:
            return self.size(call.func.value)
        returned = [
            value for function in self.names.functions(call) for value in self.names.module.returned_by(function)
        ]
        return _hinted(last_name(call.func), self.largest(returned, Size.DATA))

    def subscript_size(self, node: ast.Subscript) -> Size:
        """Say what the size of a part, or of an element, depends on."""
        match node.slice:
            case ast.Slice(upper=None | ast.UnaryOp(op=ast.USub())):
                return self.size(node.value)
            case ast.Slice():
                return Size.LIMITED
            case ast.Constant(value=str() as key):
                return _hinted(key, Size.DATA)
            case _:
                return Size.DATA if self.size(node.value) > Size.CONFIGURED else Size.CONFIGURED

    def product_size(self, node: ast.BinOp) -> Size:
        """Say what the size of a sum, a union or a repeated list depends on."""
        if isinstance(node.op, ast.Mult):
            return max(self.number(node.left), self.number(node.right)) if _is_list(node.left) else Size.DATA
        return self.largest((node.left, node.right))

    def named_number(self, node: ast.Name) -> Size:
        """Say what a number that has a name depends on."""
        if mentions(node.id, WORKER):
            return Size.LIMITED
        if node.id.isupper():
            return Size.CONSTANT
        _, found = self.names.bindings(node.id, node)
        values = [one.value for one in found if one.kind == "value" and one.value is not None and not one.path]
        return self.largest_number(values) if len(values) == len(found) else Size.DATA

    def attribute_number(self, node: ast.Attribute) -> Size:
        """Say what a number depends on that an object holds: one of its own is a setting, whatever it counts."""
        if mentions(node.attr, WORKER):
            return Size.LIMITED
        return (
            min(self.attribute_size(node), Size.OWN) if last_name(node.value) == "self" else self.attribute_size(node)
        )

    def called_number(self, call: ast.Call) -> Size:
        """Say what a computed number depends on."""
        name = self.names.called(call)
        if name == "len" and call.args:
            return self.size(call.args[0])
        if name == "min":
            return min(Size.LIMITED, self.largest_number(call.args))
        return self.largest_number(call.args) if name in {"max", "int", "round", "abs", "sum"} else Size.DATA


def _unknown(_sizes: Sizes, _node: ast.expr) -> Size:
    return Size.DATA


def _headed(loops: Iterable[ast.AST]) -> list[Headed]:
    return [loop for loop in loops if isinstance(loop, Headed)]


def _hinted(name: str, size: Size) -> Size:
    return min(size, Size.CONFIGURED) if says(name, CONFIGURED) else size


def _item_name(node: ast.Subscript) -> str:
    """Return the key of an item if it is a word, else the name of what holds it."""
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    return key if isinstance(key, str) else last_name(node.value)


def _is_list(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple)


def _display(sizes: Sizes, node: ast.List | ast.Tuple | ast.Set) -> Size:
    return sizes.largest(item.value for item in node.elts if isinstance(item, ast.Starred))


def _dict(sizes: Sizes, node: ast.Dict) -> Size:
    return sizes.largest(value for key, value in zip(node.keys, node.values, strict=True) if key is None)


def _is_of_known_length(annotation: ast.expr | None) -> bool:
    """Say whether an annotation is that of a tuple whose elements it lists: `tuple[str, int]`."""
    match annotation:
        case ast.Subscript(value=ast.Name(id="tuple" | "Tuple"), slice=ast.Tuple(elts=elements)):
            return not any(
                isinstance(one, ast.Starred) or (isinstance(one, ast.Constant) and one.value is Ellipsis)
                for one in elements
            )
        case _:
            return False


def _length_limit(check: ast.If, name: str) -> ast.expr | None:
    """Return the limit against which a test holds the length of a collection."""
    match check.test:
        case ast.Compare(
            left=ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=measured)]),
            ops=[ast.Gt() | ast.GtE()],
            comparators=[limit],
        ) if measured == name and not (isinstance(limit, ast.Constant) and limit.value in (0, 1)):
            return limit
        case _:
            return None


def _leaves(check: ast.If) -> bool:
    return any(isinstance(line, ast.Raise | ast.Return) for line in check.body)


def _grows(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=grown), attr="append" | "extend" | "add" | "update")):
            return grown == name
        case ast.AugAssign(target=ast.Name(id=grown)):
            return grown == name
        case _:
            return False


_BUILTINS: dict[str, Callable[[Sizes, list[ast.expr]], Size]] = {
    "range": lambda sizes, arguments: sizes.largest_number(arguments),
    "zip": lambda sizes, arguments: min(map(sizes.size, arguments)),
    "map": lambda sizes, arguments: min(map(sizes.size, arguments[1:]), default=Size.DATA),
    "filter": lambda sizes, arguments: sizes.largest(arguments[1:]),
} | dict.fromkeys(_SAME, lambda sizes, arguments: sizes.size(arguments[0]))

_SIZES: dict[type[ast.expr], Callable[[Sizes, Any], Size]] = {
    ast.Attribute: Sizes.attribute_size,
    ast.Await: lambda sizes, node: sizes.size(node.value),
    ast.BinOp: Sizes.product_size,
    ast.BoolOp: lambda sizes, node: sizes.largest(node.values),
    ast.Call: Sizes.call_size,
    ast.Constant: lambda _sizes, _node: Size.CONSTANT,
    ast.Dict: _dict,
    ast.DictComp: lambda sizes, node: sizes.turns(node.generators),
    ast.GeneratorExp: lambda sizes, node: sizes.turns(node.generators),
    ast.IfExp: lambda sizes, node: sizes.largest((node.body, node.orelse)),
    ast.List: _display,
    ast.ListComp: lambda sizes, node: sizes.turns(node.generators),
    ast.Name: Sizes.name_size,
    ast.NamedExpr: lambda sizes, node: sizes.size(node.value),
    ast.Set: _display,
    ast.SetComp: lambda sizes, node: sizes.turns(node.generators),
    ast.Starred: lambda sizes, node: sizes.size(node.value),
    ast.Subscript: Sizes.subscript_size,
    ast.Tuple: _display,
}

_NUMBERS: dict[type[ast.expr], Callable[[Sizes, Any], Size]] = {
    ast.Attribute: Sizes.attribute_number,
    ast.BinOp: lambda sizes, node: sizes.largest_number((node.left, node.right)),
    ast.BoolOp: lambda sizes, node: sizes.largest_number(node.values),
    ast.Call: Sizes.called_number,
    ast.Constant: lambda _sizes, _node: Size.CONSTANT,
    ast.IfExp: lambda sizes, node: sizes.largest_number((node.body, node.orelse)),
    ast.Name: Sizes.named_number,
    ast.Subscript: lambda _sizes, node: Size.LIMITED if mentions(_item_name(node), WORKER) else Size.DATA,
    ast.UnaryOp: lambda sizes, node: sizes.number(node.operand),
}
