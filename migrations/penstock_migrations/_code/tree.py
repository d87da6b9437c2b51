"""Goes over syntax trees, fast: past operators, contexts and whatever else no rule asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

__all__ = ["LEAVES", "backwards", "children", "walk"]

LEAVES = frozenset({ast.Name, ast.Constant, ast.Pass, ast.alias, type(None)})  # nothing is beneath them
# Where the nodes are beneath the frequent kinds, in the order of the text; the others are looked through.
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {
    ast.AnnAssign: ("target", "annotation", "value"),
    ast.Assert: ("test", "msg"),
    ast.Assign: ("targets", "value"),
    ast.AsyncFor: ("target", "iter", "body", "orelse"),
    ast.AsyncFunctionDef: ("args", "body", "decorator_list", "returns"),
    ast.AsyncWith: ("items", "body"),
    ast.Attribute: ("value",),
    ast.AugAssign: ("target", "value"),
    ast.Await: ("value",),
    ast.BinOp: ("left", "right"),
    ast.BoolOp: ("values",),
    ast.Break: (),
    ast.Call: ("func", "args", "keywords"),
    ast.ClassDef: ("bases", "keywords", "body", "decorator_list"),
    ast.Compare: ("left", "comparators"),
    ast.Constant: (),
    ast.Continue: (),
    ast.Delete: ("targets",),
    ast.Dict: ("keys", "values"),
    ast.DictComp: ("key", "value", "generators"),
    ast.ExceptHandler: ("type", "body"),
    ast.Expr: ("value",),
    ast.For: ("target", "iter", "body", "orelse"),
    ast.FormattedValue: ("value", "format_spec"),
    ast.FunctionDef: ("args", "body", "decorator_list", "returns"),
    ast.GeneratorExp: ("elt", "generators"),
    ast.If: ("test", "body", "orelse"),
    ast.IfExp: ("test", "body", "orelse"),
    ast.Import: ("names",),
    ast.ImportFrom: ("names",),
    ast.JoinedStr: ("values",),
    ast.Lambda: ("args", "body"),
    ast.List: ("elts",),
    ast.ListComp: ("elt", "generators"),
    ast.Module: ("body",),
    ast.Name: (),
    ast.NamedExpr: ("target", "value"),
    ast.Pass: (),
    ast.Raise: ("exc", "cause"),
    ast.Return: ("value",),
    ast.Set: ("elts",),
    ast.SetComp: ("elt", "generators"),
    ast.Slice: ("lower", "upper", "step"),
    ast.Starred: ("value",),
    ast.Subscript: ("value", "slice"),
    ast.Try: ("body", "handlers", "orelse", "finalbody"),
    ast.Tuple: ("elts",),
    ast.UnaryOp: ("operand",),
    ast.While: ("test", "body", "orelse"),
    ast.With: ("items", "body"),
    ast.Yield: ("value",),
    ast.YieldFrom: ("value",),
    ast.alias: (),
    ast.arg: ("annotation",),
    ast.arguments: ("posonlyargs", "args", "vararg", "kwonlyargs", "kw_defaults", "kwarg", "defaults"),
    ast.comprehension: ("target", "iter", "ifs"),
    ast.keyword: ("value",),
    ast.withitem: ("context_expr", "optional_vars"),
}
_GAPS = frozenset({ast.Dict, ast.arguments})  # None stands among their nodes: for `**` and where a default is missing
_BACKWARDS = {kind: names[::-1] for kind, names in _FIELDS.items()}


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right beneath a node, in the order of the text, without operators and contexts."""
    fields = _FIELDS.get(node.__class__)
    if fields is None:
        return list(ast.iter_child_nodes(node))
    found: list[ast.AST] = []
    for name in fields:
        child = getattr(node, name)
        if child.__class__ is list:
            found += child
        elif child is not None:
            found.append(child)
    if node.__class__ in _GAPS and None in found:
        return [child for child in found if child is not None]
    return found


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all nodes beneath it, outer before inner, without operators and contexts."""
    waiting = [node]
    for found in waiting:  # which grows meanwhile
        yield found
        if found.__class__ not in LEAVES:
            waiting += children(found)


def backwards(node: ast.AST) -> Sequence[str]:
    """Return the fields in which the nodes beneath a node are, the last one first; there may be None among them."""
    return _BACKWARDS.get(node.__class__) or _rare_fields(node)


def _rare_fields(node: ast.AST) -> list[str]:
    """Return where the nodes are beneath a node of a rare kind, backwards."""
    found = [(name, value[0] if isinstance(value, list) and value else value) for name, value in ast.iter_fields(node)]
    return [name for name, value in reversed(found) if isinstance(value, ast.AST)]
