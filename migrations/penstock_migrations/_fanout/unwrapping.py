"""Decides whether tasks may become coroutines again, for gather to start: nobody may notice that they start later."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import own_nodes, start_of

__all__ = ["holders_of", "is_annotated_as_task", "is_counted", "task_obstacle"]

_SUSPENDING = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_REPEATING = (*_COMPREHENSIONS, ast.For, ast.AsyncFor, ast.While)
_CONTEXT_CHANGES = frozenset({"set", "reset"})
_CREATING = frozenset({"asyncio.create_task", "asyncio.tasks.create_task", "asyncio.ensure_future"})
_LOOPS = frozenset({"asyncio.get_running_loop", "asyncio.get_event_loop"})
_LEAVING = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_PASSING = (ast.expr, ast.keyword, ast.With, ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)


def task_obstacle(module: Module, gather: ast.Call, creation: ast.Call) -> str | None:
    """Say why the creation of a task cannot be left to the gather that waits for it; None if it can."""
    if len(creation.args) != 1 or creation.keywords or not isinstance(creation.args[0], ast.Call):
        return "the tasks are made with more than a coroutine, and run already when gather sees them"
    if not _is_asyncios_own(module, creation):
        return "the tasks belong to what makes them, such as a group that watches over them"
    function = module.function(gather)
    if function is None or module.function(creation) is not function:
        return "the tasks are made in another function, and run already when gather sees them"
    holders = _holders(module, function, creation, gather)
    if holders is None or any(_is_used_otherwise(module, function, name, gather) for name in holders):
        return "the tasks are used besides being gathered, and run already when gather sees them"
    if _waits_meanwhile(module, function, creation, gather):
        return "the function waits for something else while the tasks run already"
    if _has_context_of_its_own(module, function, creation, gather):
        return "the tasks see context variables that are others by the time of the gather"
    if not _is_reached(module, function, creation, gather, holders):
        return "the tasks run even where the function does not come to the gather"
    return None


def _is_asyncios_own(module: Module, creation: ast.Call) -> bool:
    """Say whether asyncio or its running loop makes the task, and nobody else keeps it."""
    if module.qualified(creation.func) in _CREATING:
        return True
    if not isinstance(creation.func, ast.Attribute):
        return False
    host = creation.func.value
    _, found = module.bindings(host.id, host) if isinstance(host, ast.Name) else (None, [])
    hosts = [one.value for one in found] if found else [host]
    return all(isinstance(one, ast.Call) and module.qualified(one.func) in _LOOPS for one in hosts)


def _holders(module: Module, function: Function, creation: ast.Call, gather: ast.Call) -> list[str] | None:
    """Return the names that hold the tasks, if only this function can read them; None if they cannot be told."""
    if any(isinstance(around, ast.NamedExpr) for around in module.ancestors(creation)):
        return None
    holders = [] if module.contains(gather, creation) else holders_of(module, function, creation)
    shared = {
        name for node in own_nodes(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    return None if holders is None or shared.intersection(holders) else holders


def _waits_meanwhile(module: Module, function: Function, creation: ast.Call, gather: ast.Call) -> bool:
    """Say whether the function gives way while tasks that it made run already."""
    around = [one for one in module.ancestors(creation) if isinstance(one, _COMPREHENSIONS)]
    if any(generator.is_async for one in around for generator in one.generators):
        return True
    suspending = [node for node in own_nodes(function) if isinstance(node, _SUSPENDING)]
    return any(_lies_between(module, node, creation, gather) for node in suspending)


def _has_context_of_its_own(module: Module, function: Function, creation: ast.Call, gather: ast.Call) -> bool:
    """Say whether a task copies a context, when it is made, that a coroutine would not find at the gather."""
    for around in module.ancestors(creation):
        if isinstance(around, ast.With) and not module.contains(around, gather):
            return True
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _CONTEXT_CHANGES
        and _lies_between(module, node, creation, gather)
        for node in own_nodes(function)
    )


def is_annotated_as_task(module: Module, creation: ast.Call) -> bool:
    """Say whether a name that holds a task is annotated as holding tasks or futures."""
    function = module.function(creation)
    names = holders_of(module, function, creation) if function is not None else None
    bound = [binding.node for name in names or [] for binding in module.bindings(name, creation)[1]]
    annotations = [ast.unparse(node.annotation) for node in bound if isinstance(node, ast.AnnAssign)]
    return any("Task" in annotation or "Future" in annotation for annotation in annotations)


def holders_of(module: Module, function: Function | ast.Module, creation: ast.Call) -> list[str] | None:
    """Return the names that hold a task on its way to the gather; None if they cannot be told."""
    match module.statement(creation):
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name, *_put_into(function, name)]
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]) | ast.AugAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "add"))):
            return [name]
        case _:
            return None


def _put_into(function: Function | ast.Module, task: str) -> list[str]:
    """Return the names of the collections that a named task is put into."""
    return [
        call.func.value.id
        for call in own_nodes(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"append", "add"}
        and isinstance(call.func.value, ast.Name)
        and any(isinstance(argument, ast.Name) and argument.id == task for argument in call.args)
    ]


def _is_used_otherwise(module: Module, function: Function, name: str, gather: ast.Call) -> bool:
    """Say whether anything but the gather reads a name that holds the tasks, here or in a function defined here."""
    _, bindings = module.bindings(name, gather)
    grown = [binding.node for binding in bindings]
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Load)
        and not is_counted(module, node)
        and not _is_gathered(module, node, gather)
        and not any(module.contains(growth, node) for growth in grown)
        for node in ast.walk(function)
    )


def _is_gathered(module: Module, node: ast.Name, gather: ast.Call) -> bool:
    """Say whether the gather is given all the tasks of a name, and looks at none: `*tasks`, `*tasks.values()`."""
    given: ast.AST = node
    while (around := module.parents[given]) is not gather:
        match around:
            case ast.Starred() | ast.Attribute(attr="values") | ast.BinOp(op=ast.Add()) | ast.List() | ast.Tuple():
                given = around
            case ast.Call(func=ast.Attribute() as func, args=[]) if func is given:
                given = around
            case ast.Call(func=ast.Name(id="list" | "tuple" | "reversed")) | ast.comprehension(ifs=[]):
                given = around
            case ast.ListComp(elt=ast.Name()) | ast.GeneratorExp(elt=ast.Name()):
                given = around
            case _:
                return False
    return True


def is_counted(module: Module, node: ast.Name) -> bool:
    """Say whether only the number of the tasks matters: `len(tasks)`, `if tasks`, `if not tasks`."""
    match module.parents[node]:
        case ast.Call(func=ast.Name(id="len")) | ast.UnaryOp(op=ast.Not()) | ast.If():
            return True
        case _:
            return False


def _lies_between(module: Module, node: ast.AST, creation: ast.Call, gather: ast.Call) -> bool:
    """Say whether a node is done after a task was made and before they are gathered."""
    if module.contains(creation, node):  # the next turn waits for its own arguments, with the tasks before it running
        return any(
            isinstance(one, _REPEATING) for one in module.ancestors(creation) if not module.contains(one, gather)
        )
    if module.contains(node, gather):  # what is entered in between, or else what only waits for the gather
        return not isinstance(node, ast.Await) and not module.contains(node, creation)
    loops = [one for one in module.ancestors(creation) if isinstance(one, ast.For | ast.AsyncFor | ast.While)]
    again = any(module.contains(loop, node) and not module.contains(loop, gather) for loop in loops)
    return again or start_of(creation) < start_of(node) < start_of(gather)


def _is_reached(module: Module, function: Function, creation: ast.Call, gather: ast.Call, holders: list[str]) -> bool:
    """Say whether the function comes to the gather wherever it made a task, unless something fails."""
    for around in module.ancestors(gather):
        if module.contains(around, creation):
            break
        if not (_is_passed(module, around, gather) or _asks_only_for(around, holders)):
            return False
    leaving = [node for node in own_nodes(function) if isinstance(node, _LEAVING)]
    return not any(_leaves_between(module, node, creation, gather, holders) for node in leaving)


def _is_passed(module: Module, around: ast.AST, gather: ast.Call) -> bool:
    """Say whether whoever comes to a node comes to the gather in it, once."""
    match around:
        case ast.IfExp() | ast.BoolOp() | ast.Lambda():
            return False
        case ast.For(iter=iterable) | ast.comprehension(iter=iterable):
            return module.contains(iterable, gather)
        case ast.Try(body=body):
            return any(module.contains(statement, gather) for statement in body)
        case _:
            return isinstance(around, _PASSING)


def _leaves_between(module: Module, node: ast.AST, creation: ast.Call, gather: ast.Call, holders: list[str]) -> bool:
    if not _lies_between(module, node, creation, gather) or module.contains(node, gather):
        return False
    return not any(_asks_only_for(around, holders) for around in module.ancestors(node))


def _asks_only_for(node: ast.AST, holders: list[str]) -> bool:
    """Say whether a branch depends on nothing but whether there are tasks at all."""
    match node:
        case ast.If(test=ast.Name(id=name)) | ast.If(test=ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name))):
            return name in holders
        case _:
            return False
