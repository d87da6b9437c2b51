"""Finds calls of asyncio by any name they were imported under, and code that is there for older Pythons only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name

__all__ = ["LOOPLESS", "asyncio_calls", "asyncio_name", "is_for_old_python", "makes_coroutine", "removed_loop"]

# Submodules in which the names of asyncio are defined; they may be imported from there.
_HOMES = frozenset({"base_futures", "coroutines", "events", "futures", "locks", "queues", "streams", "tasks"})
LOOPLESS = frozenset(
    [
        "BoundedSemaphore",
        "Condition",
        "Event",
        "LifoQueue",
        "Lock",
        "PriorityQueue",
        "Queue",
        "Semaphore",
        "as_completed",
        "create_subprocess_exec",
        "create_subprocess_shell",
        "gather",
        "open_connection",
        "open_unix_connection",
        "shield",
        "sleep",
        "start_server",
        "start_unix_server",
        "wait",
        "wait_for",
    ]
)
# What returns a future, or another awaitable that is no coroutine: `aiosqlite.connect`, `asyncpg.create_pool`.
_NO_COROUTINE = frozenset(
    [
        "anext",
        "__anext__",
        "asend",
        "athrow",
        "aclose",
        "gather",
        "shield",
        "wrap_future",
        "run_in_executor",
        "create_future",
        "create_task",
        "Future",
        "ensure_future",
        "run_coroutine_threadsafe",
        "submit",
        "begin",
        "connect",
        "create_pool",
    ]
)


def asyncio_name(module: Module, node: ast.expr) -> str | None:
    """Return the name that an expression has in asyncio: `sleep` for `asyncio.sleep` and `asyncio.tasks.sleep`."""
    parts = (module.qualified(node) or "").split(".")
    if parts[0] != "asyncio" or len(parts) not in (2, 3):
        return None
    return parts[-1] if len(parts) == 2 or parts[1] in _HOMES else None


def asyncio_calls(module: Module, *names: str) -> Iterator[ast.Call]:
    """Yield the calls of some functions or classes of asyncio that are not for older Pythons only."""
    if "asyncio" not in module.roots:
        return
    renamed = [alias for alias, target in module.imports.items() if target.rpartition(".")[2] in names]
    for call in module.calls_of(*names, *renamed):
        if asyncio_name(module, call.func) in names and not is_for_old_python(module, call):
            yield call


def removed_loop(module: Module, call: ast.Call) -> ast.keyword | None:
    """Return the argument `loop` of a call of asyncio that takes none since Python 3.10."""
    if asyncio_name(module, call.func) not in LOOPLESS:
        return None
    return next((keyword for keyword in call.keywords if keyword.arg == "loop"), None)


def is_for_old_python(module: Module, node: ast.AST) -> bool:
    """Say whether a node is in a branch that a comparison of `sys.version_info`, or a lacking name, chooses."""
    for around in module.ancestors(node):
        if isinstance(around, ast.If | ast.IfExp) and "version_info" in ast.dump(around.test):
            return True
        if isinstance(around, ast.ExceptHandler) and around.type is not None:
            caught = ast.unparse(around.type)
            if "AttributeError" in caught or "ImportError" in caught:
                return True
    return False


def makes_coroutine(module: Module, node: ast.expr) -> bool:
    """Say whether an expression is a call that returns a coroutine, as far as this module can tell."""
    if isinstance(node, ast.Name):
        _, found = module.bindings(node.id, node)
        values = [binding.value for binding in found]
        return len(values) == 1 and isinstance(value := values[0], ast.Call) and _is_async(module, value) is True
    if not isinstance(node, ast.Call):
        return False
    known = _is_async(module, node)
    return known if known is not None else not _returns_awaitable(module, node)


def _is_async(module: Module, call: ast.Call) -> bool | None:
    """Say whether the function of this module that a call means is a coroutine function; None where it has none."""
    match call.func:
        case ast.Name(id=name):
            found = module.function_named(name, call)
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            found = module.method_named(name, call)
        case _:
            return None
    if not found:
        return None
    return all(isinstance(one, ast.AsyncFunctionDef) or _mentions(one.returns, "Coroutine") for one in found)


def _returns_awaitable(module: Module, call: ast.Call) -> bool:
    """Say whether what a call returns may be an awaitable of another kind: a future, or an object."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in _NO_COROUTINE or name[:1].isupper():
            return True
        case ast.Name(id=name):
            _, found = module.bindings(name, call)
            return any(_mentions(getattr(binding.node, "annotation", None), "Awaitable") for binding in found)
        case ast.Attribute(value=owner, attr="acquire"):
            return "pool" in last_name(owner).lower()
        case ast.Attribute():
            return False
        case _:
            return True


def _mentions(annotation: ast.expr | None, word: str) -> bool:
    return annotation is not None and word in ast.unparse(annotation)
