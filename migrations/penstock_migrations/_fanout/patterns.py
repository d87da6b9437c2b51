"""Recognises what bounds a fan-out by its shape: drains, races, windows, and tasks awaited in the loop's own turn."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import LOOPS, blocks, own_nodes
from penstock_migrations._code.tree import walk

__all__ = ["collections_of", "growing_loops", "has_window", "is_consumed_in_turn", "is_drained", "is_race"]

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def is_drained(module: Module, collection: ast.expr, call: ast.Call) -> bool:
    """Say whether what is waited for was cancelled before: the wait only drains it."""
    name = ast.unparse(collection.value if isinstance(collection, ast.Starred) else collection)
    function = module.function(call) or module.tree
    return any(
        isinstance(loop, ast.For | ast.ListComp | ast.GeneratorExp)
        and loop.lineno < call.lineno
        and any(ast.unparse(part) == name for iterable in _iterables(loop) for part in walk(iterable))
        and any(_is_cancel(part) for part in walk(loop))
        for loop in own_nodes(function)
    )


def is_race(module: Module, call: ast.Call) -> bool:
    """Say whether only the first to finish counts: a limit would change who wins."""
    if any(
        keyword.arg == "return_when" and "FIRST_COMPLETED" in ast.unparse(keyword.value) for keyword in call.keywords
    ):
        return not any(isinstance(around, LOOPS) for around in module.ancestors(call))
    loop = module.parents.get(call)
    if not isinstance(loop, ast.For | ast.AsyncFor) or loop.iter is not call:
        return False
    return any(isinstance(node, ast.Break | ast.Return) for node in _always(loop.body))


def has_window(module: Module, collection: str, call: ast.Call) -> bool:
    """Say whether the function waits as soon as the collection has reached a size, or fills it up to a size."""
    return any(
        isinstance(check, ast.If | ast.While)
        and _measures(check.test, collection)
        and any(_admits(part, collection) for statement in check.body for part in walk(statement))
        for check in own_nodes(module.function(call) or module.tree)
    )


def growing_loops(module: Module, call: ast.Call) -> list[ast.AST]:
    """Return the loops whose turns each make one more task, innermost first."""
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    loops: list[ast.AST] = []
    inner: ast.AST = call
    for around in module.ancestors(call):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            break
        if isinstance(around, ast.AsyncWith) and owner in _names_bound(around):
            break  # each turn has a group of its own, and waits for it
        if isinstance(around, LOOPS) and inner in around.body:
            loops.append(around)
        elif isinstance(around, COMPREHENSIONS):
            loops.extend(around.generators)
        inner = around
    return loops


def is_consumed_in_turn(module: Module, call: ast.Call, loop: ast.AST) -> bool:
    """Say whether the loop's turn waits for the task, keeps only the last one, or is the last turn."""
    for around in module.ancestors(call):
        if isinstance(around, ast.Await):
            return True
        if isinstance(around, (*COMPREHENSIONS, ast.stmt)):
            break
    if isinstance(loop, ast.comprehension):
        return False
    statement = module.statement(call)
    targets = _targets(statement)
    if any(isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" for target in targets):
        return True
    if any(isinstance(target, ast.Name) and _is_awaited(target.id, loop) for target in targets):
        return True
    block = next((one for one in blocks(module.parents[statement]) if statement in one), [])
    return any(isinstance(after, ast.Break | ast.Return) for after in block[block.index(statement) :] if block)


def collections_of(module: Module, call: ast.Call) -> list[str]:
    """Return the names of what a task is put into."""
    targets = _targets(module.statement(call))
    tasks = {ast.unparse(target) for target in targets if isinstance(target, ast.Name)}
    found = [ast.unparse(target.value) for target in targets if isinstance(target, ast.Subscript)]
    for node in own_nodes(module.function(call) or module.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="append" | "add"), args=[item]):
                if item is call or any(isinstance(part, ast.Name) and part.id in tasks for part in walk(item)):
                    found.append(ast.unparse(owner))
            case ast.Assign(targets=[ast.Subscript(value=owner, slice=key)], value=value):
                if {ast.unparse(key), ast.unparse(value)} & tasks:
                    found.append(ast.unparse(owner))
            case _:
                pass
    return found


def _always(block: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that a turn of a loop reaches unless something fails."""
    for statement in block:
        yield statement
        if isinstance(statement, ast.Try):
            yield from _always((*statement.body, *statement.orelse))
        elif isinstance(statement, ast.With | ast.AsyncWith):
            yield from _always(statement.body)


def _iterables(loop: ast.AST) -> list[ast.expr]:
    return [loop.iter] if isinstance(loop, ast.For) else [one.iter for one in getattr(loop, "generators", [])]


def _names_bound(block: ast.AsyncWith) -> list[str]:
    return [ast.unparse(item.optional_vars) for item in block.items if item.optional_vars is not None]


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _is_cancel(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cancel"


def _is_awaited(name: str, loop: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Await) and any(isinstance(part, ast.Name) and part.id == name for part in walk(node))
        for node in own_nodes(loop)
    )


def _measures(test: ast.expr, collection: str) -> bool:
    """Say whether a test compares the collection's size with a limit that is there in any case."""
    parts = list(ast.walk(test))
    optional = any(isinstance(part, ast.Is | ast.IsNot) for part in parts)
    return not optional and any(_compares(part, collection) for part in parts)


def _compares(node: ast.AST, collection: str) -> bool:
    match node:
        case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE() | ast.Lt() | ast.LtE()], comparators=[limit]):
            trivial = isinstance(limit, ast.Constant) and limit.value in (0, 1)
            return ast.unparse(left) == f"len({collection})" and not trivial
        case _:
            return False


def _admits(node: ast.AST, collection: str) -> bool:
    match node:
        case ast.Await():
            return True
        case ast.Call(func=ast.Attribute(value=owner, attr="add" | "append")):
            return ast.unparse(owner) == collection
        case _:
            return False
