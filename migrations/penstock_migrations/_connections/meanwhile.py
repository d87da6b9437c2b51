"""`remarks_meanwhile`: what a function does while it holds a connection that others may be waiting for."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._connections.holding import CLOSERS
from penstock_migrations._connections.sessions import Sessions
from penstock_migrations._connections.statements import Remark
from penstock_migrations._connections.users import Users
from penstock_migrations.rule import Fix

__all__ = ["hands", "is_manager", "remarks_meanwhile"]

_BLOCKS = (
    "{} awaits while it holds it: to wait for a place of a pool would stop the event loop that those who hold one need"
    " to give it back"
)
_OPENS = "{} opens another while it holds one: with every place taken, all wait for each other"
_YIELDS = "{} yields in the midst, and its callers run while it holds it"
_WAITS = "{} waits for something else while it holds it ({}): others wait for a place as long"
_BLOCKING = ("requests", "httpx", "urllib", "openai", "anthropic")
_MANAGERS = frozenset({"contextmanager", "asynccontextmanager"})
_WRAPPERS = frozenset({"wait_for", "shield", "gather"})


def remarks_meanwhile(
    users: Users, session: Sessions, nodes: Sequence[ast.AST], *, asynchronous: bool
) -> Iterator[Remark]:
    """Yield what is to be said of what happens while a connection is held.

    Args:
        users: Answers who calls what.
        session: The function that holds it, and its name there.
        nodes: What is evaluated meanwhile.
        asynchronous: Whether the connection is used by awaiting.
    """
    function, all_nodes = session.function, [node for held in nodes for node in (held, *own_nodes(held))]
    blocks = not asynchronous and isinstance(function, ast.AsyncFunctionDef)
    if blocks and any(_awaited(users.module, node) is not None for node in all_nodes):
        yield Fix.NONE, _BLOCKS.format(function.name)
    if any(isinstance(node, ast.Call) and users.opens(node, set()) for node in all_nodes):
        yield Fix.REVIEW, _OPENS.format(function.name)
    if any(isinstance(node, ast.Yield | ast.YieldFrom) and not hands(session, node) for node in all_nodes):
        yield Fix.REVIEW, _YIELDS.format(function.name)
    others = [other for node in all_nodes if (other := _other(users.module, session, node)) is not None]
    if others:
        yield Fix.REVIEW, _WAITS.format(function.name, ast.unparse(others[0]).partition("(")[0])


def hands(session: Sessions, node: ast.Yield | ast.YieldFrom) -> bool:
    """Say whether a connection is yielded by its name; a context manager may yield what is made of it: a cursor."""
    match node.value:
        case ast.Name(id=name) if name == session.name:
            return True
        case ast.expr() as value if is_manager(session.function):
            return session.is_derived(value)
        case _:
            return False


def is_manager(function: Function) -> bool:
    """Say whether a generator is made into a context manager."""
    return any(last_name(one) in _MANAGERS for one in function.decorator_list)


def _awaited(module: Module, node: ast.AST) -> ast.expr | None:
    """Return what is awaited: by `await`, by entering an `async with`, by the first turn of an `async for`."""
    if isinstance(node, ast.Await):
        return node.value
    parent = module.parents.get(node)
    parent = module.parents.get(parent) if isinstance(parent, ast.withitem) else parent
    heads = isinstance(parent, ast.AsyncWith) or (isinstance(parent, ast.AsyncFor) and parent.iter is node)
    return node if heads and isinstance(node, ast.expr) else None


def _other(module: Module, session: Sessions, node: ast.AST) -> ast.expr | None:
    """Return what a function waits for that is not the connection itself."""
    awaited = _awaited(module, node)
    if awaited is not None and not isinstance(awaited, ast.Await) and not _is_own(session, awaited):
        return awaited
    if not isinstance(node, ast.Call):
        return None
    called = module.qualified(node.func) or ""
    return node if called == "time.sleep" or called.partition(".")[0] in _BLOCKING else None


def _is_own(session: Sessions, node: ast.expr) -> bool:
    """Say whether something that is awaited is the connection's, or what is made of it."""
    match node:
        case _ if session.is_derived(node):
            return True
        case ast.Call(args=arguments) if last_name(node.func) in _WRAPPERS:
            return all(_is_own(session, one) for one in arguments if not isinstance(one, ast.Constant))
        case ast.Call():
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            return last_name(node.func) in CLOSERS or any(map(session.is_derived, given))
        case _:
            return False
