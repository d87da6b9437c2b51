"""`remarks_meanwhile`: what a function does while it holds a connection that others may be waiting for."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._connections.plain import Plain
from penstock_migrations._connections.sessions import Sessions
from penstock_migrations._connections.statements import Remark
from penstock_migrations._connections.users import Users, parameter_of
from penstock_migrations.rule import Fix

__all__ = ["hands", "is_manager", "remarks_meanwhile"]

_BLOCKS = (
    "{} awaits while it holds it: to wait for a place of a pool would stop the event loop that those who hold one need"
    " to give it back"
)
_OPENS = "{} opens another while it holds one: with every place taken, all wait for each other"
_YIELDS = "{} yields in the midst, and its callers run while it holds it"
_WAITS = "{} waits for something else while it holds it ({}): others wait for a place as long"
_CALLS = "{} calls {} while it holds it: does that wait for something else, or open another?"
_HANDS = "{} hands it to {}, which is not to be seen here"
_LOOPS = "{} works through {} while it holds it: does that end, and soon?"
_OUTLIVES = "{} lets what it made of it outlive it"
_BLOCKING = ("requests", "httpx", "urllib", "openai", "anthropic")
_MANAGERS = frozenset({"contextmanager", "asynccontextmanager"})
_DECORATORS = _MANAGERS | {"staticmethod", "classmethod", "property", "cache", "lru_cache", "override", "overload"}
_SHOWN = 40

_Seen = set[tuple[Function, str | None]]


def remarks_meanwhile(
    users: Users, session: Sessions, nodes: Sequence[ast.AST], *, asynchronous: bool, seen: _Seen | None = None
) -> Iterator[Remark]:
    """Yield what is to be said of what happens while a connection is held.

    Only calls on it, and what is plainly harmless, say nothing. Functions of the module are looked into.

    Args:
        users: Answers who calls what.
        session: The function that holds it, and its name there.
        nodes: What is evaluated meanwhile.
        asynchronous: Whether the connection is used by awaiting.
        seen: The functions that were looked into already, with the name that it has there.
    """
    function, plain = session.function, Plain(users)
    seen = set() if seen is None else seen
    all_nodes = list(dict.fromkeys(node for held in nodes for node in (held, *own_nodes(held))))
    blocks = not asynchronous and isinstance(function, ast.AsyncFunctionDef)
    if blocks and any(_awaited(users.module, node) is not None for node in all_nodes):
        yield Fix.NONE, _BLOCKS.format(function.name)
    if any(isinstance(node, ast.Call) and users.opens(node, set()) for node in all_nodes):
        yield Fix.REVIEW, _OPENS.format(function.name)
    if any(isinstance(node, ast.Yield | ast.YieldFrom) and not hands(session, node) for node in all_nodes):
        yield Fix.REVIEW, _YIELDS.format(function.name)
    for node in all_nodes:
        if isinstance(node, ast.Call):
            yield from _called(plain, session, node, asynchronous, seen)
        if (waited := _waited(users.module, node)) is not None and not plain.is_own(waited, session):
            yield Fix.REVIEW, _WAITS.format(function.name, _shown(waited))
        if (over := _looped(users.module, node)) is not None and not plain.is_finite(over, session):
            yield Fix.REVIEW, _LOOPS.format(function.name, _shown(over))
        if _outlives(session, node):
            yield Fix.REVIEW, _OUTLIVES.format(function.name)


def hands(session: Sessions, node: ast.Yield | ast.YieldFrom) -> bool:
    """Say whether a connection is yielded by its name; a context manager may yield a cursor, or nothing."""
    match node.value:
        case ast.Name(id=name) if name == session.name:
            return True
        case None:
            return is_manager(session.function)  # what runs within its `with` is looked at there
        case ast.expr() as value if is_manager(session.function):
            return session.is_derived(value)
        case _:
            return False


def is_manager(function: Function) -> bool:
    """Say whether a generator is made into a context manager."""
    return any(last_name(one) in _MANAGERS for one in function.decorator_list)


def _called(plain: Plain, session: Sessions, call: ast.Call, asynchronous: bool, seen: _Seen) -> Iterator[Remark]:
    """Yield what is to be said of a call that is made meanwhile."""
    users, name = plain.users, session.function.name
    given = [one for one in (*call.args, *(word.value for word in call.keywords)) if session.is_handle(one)]
    functions = users.names.functions(call) or _of_class(users.module, call)
    if functions:
        yield from _within(users, session, call, given, functions, asynchronous, seen)
    elif given and not plain.takes(call, session):
        yield Fix.REVIEW, _HANDS.format(name, _shown(call))
    elif not plain.is_harmless(call, session) and not users.opens(call, set()):
        known = users.module.qualified(call.func) or ""
        waits = known == "time.sleep" or known.partition(".")[0] in _BLOCKING
        waits |= isinstance(_around(users.module, call), ast.Await | ast.AsyncWith | ast.AsyncFor)
        yield Fix.REVIEW, (_WAITS if waits else _CALLS).format(name, _shown(call))


def _within(
    users: Users,
    session: Sessions,
    call: ast.Call,
    given: Sequence[ast.expr],
    functions: Sequence[Function],
    asynchronous: bool,
    seen: _Seen,
) -> Iterator[Remark]:
    """Look into functions of the module that are called meanwhile; they may be lent the connection, or a cursor."""
    for function in functions:
        if any(last_name(one) not in _DECORATORS for one in function.decorator_list):
            yield Fix.REVIEW, _CALLS.format(session.function.name, function.name)
        lent = [parameter_of(call, one, function) for one in given] or [None]
        if given and None in lent:
            yield Fix.REVIEW, _HANDS.format(session.function.name, _shown(call))
        for parameter in lent:
            if (function, parameter) in seen:
                continue
            seen.add((function, parameter))
            inner = Sessions(session.statements, function, parameter)
            if users.openings.purposes.is_long(function, function):
                yield Fix.REVIEW, _CALLS.format(session.function.name, function.name)
            yield from remarks_meanwhile(users, inner, function.body, asynchronous=asynchronous, seen=seen)
            yield from inner.remarks()


def _of_class(module: Module, call: ast.Call) -> list[Function]:
    """Return the method of a class of this module that is called by its name: `Item.of(row)`."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner)) if owner in module.classes:
            return module.functions.get(f"{owner}.{call.func.attr}", [])
        case _:
            return []


def _awaited(module: Module, node: ast.AST) -> ast.expr | None:
    """Return what is awaited: by `await`, by entering an `async with`, by the first turn of an `async for`."""
    if isinstance(node, ast.Await):
        return node.value
    heads = isinstance(_around(module, node), ast.AsyncWith | ast.AsyncFor)
    return node if heads and isinstance(node, ast.expr) else None


def _waited(module: Module, node: ast.AST) -> ast.expr | None:
    """Return what is waited for: what is awaited, and what a `with` enters, which may be a lock."""
    if isinstance(node, ast.Await | ast.expr) and isinstance(_around(module, node), ast.With):
        return node
    awaited = _awaited(module, node)
    return None if isinstance(awaited, ast.Await) else awaited


def _around(module: Module, node: ast.AST) -> ast.AST | None:
    """Return the statement that a node is the head of, or the `await` of it."""
    parent = module.parents.get(node)
    if isinstance(parent, ast.withitem):
        return module.parents.get(parent) if parent.context_expr is node else None
    if isinstance(parent, ast.AsyncFor):
        return parent if parent.iter is node else None
    return parent if isinstance(parent, ast.Await) else None


def _looped(module: Module, node: ast.AST) -> ast.expr | None:
    """Return what a loop goes over, or the flag that it goes on by."""
    if isinstance(node, ast.comprehension):
        return node.iter
    match module.parents.get(node):
        case ast.For(iter=over) if over is node:
            return over
        case ast.While(test=test) if test is node:
            inner = test.operand if isinstance(test, ast.UnaryOp) else test
            return inner if isinstance(inner, ast.Name | ast.Attribute | ast.Constant) else None
        case _:
            return None


def _outlives(session: Sessions, node: ast.AST) -> bool:
    """Say whether a cursor, or what else is made of the connection, is returned, or kept on an object."""
    match node:
        case ast.Return(value=ast.GeneratorExp()):
            return True
        case ast.Return(value=ast.expr() as value):
            return session.is_handle(value) and not isinstance(value, ast.Await) and not _is_name(value, session.name)
        case ast.Assign(targets=[ast.Attribute(), *_], value=value):
            return session.is_handle(value)
        case _:
            return False


def _is_name(node: ast.expr, name: str | None) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _shown(node: ast.expr) -> str:
    """Show what is called, or waited for, without its arguments."""
    inner = node.value if isinstance(node, ast.Await) else node
    text = ast.unparse(inner.func if isinstance(inner, ast.Call) else inner)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
