"""Recognises calls that ship work to a thread or an executor, and decorators that do."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import words

__all__ = ["SHIPPING_WORDS", "called_inside", "is_in_coroutine", "is_shipped_by_decorator", "shipped", "waited_for"]

_FIRST = frozenset(
    {
        "anyio.to_thread.run_sync",
        "asgiref.sync.sync_to_async",
        "asyncer.asyncify",
        "asyncio.to_thread",
        "fastapi.concurrency.run_in_threadpool",
        "starlette.concurrency.run_in_threadpool",
        "trio.to_thread.run_sync",
    }
)
_THREADS = frozenset({f"{module}.{name}" for module in ("threading", "penstock_tasks") for name in ("Thread", "Timer")})
SHIPPING_WORDS = frozenset({"executor", "thread", "threadpool"})
# With these, a name tells of threads that are talked about or waited for, not of work that is shipped to one.
_OTHER_WORDS = frozenset({"create", "delete", "get", "list", "update", "threadsafe", "is", "map", "message", "set"})
# With these, it tells of a thread that is started, which in a synchronous program is a thread as any other.
_STARTING = frozenset({"launch", "spawn", "start"})
_NOT_CALLED_AT_ONCE = frozenset(
    {"actor", "async", "asyncify", "background", "executor", "job", "task", "thread", "threaded", "threadpool"}
)


def shipped(module: Module, call: ast.Call) -> ast.expr | None:
    """Return what a call hands to a thread or an executor: a function, a bound method or a lambda."""
    found = _handed(module, call)
    return None if found is None else called_inside(module, _bound_once(module, found))


def waited_for(module: Module, call: ast.Call) -> ast.expr | None:
    """Return what a call hands to the threads of a pool that its `with` statement waits for."""
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="submit" | "map"), args=[handed, *_]):
            _, found = module.bindings(name, call)
            made = [one.value for one in found if one.kind == "context" and one.value is not None]
            if any(last_name(one) == "ThreadPoolExecutor" for one in made):
                return called_inside(module, handed)
    return None


def _bound_once(module: Module, node: ast.expr) -> ast.expr:
    """Return the lambda or `partial` that a name is bound to, else the name."""
    if not isinstance(node, ast.Name):
        return node
    _, found = module.bindings(node.id, node)
    value = found[0].value if len(found) == 1 and found[0].kind == "value" else None
    is_function = isinstance(value, ast.Lambda) or (isinstance(value, ast.Call) and _is_function(value))
    return value if is_function and value is not None else node


def called_inside(module: Module, node: ast.expr) -> ast.expr:
    """Return the function that is run in the end: that of a `partial`, that which a context runs."""
    if isinstance(node, ast.Call) and node.args and last_name(node.func) == "partial":
        if _is_context_run(node.args[0]) and len(node.args) > 1:
            return called_inside(module, node.args[1])
        return called_inside(module, node.args[0])
    return node


def is_in_coroutine(module: Module, node: ast.AST) -> bool:
    """Say whether a node is within a coroutine function, at any depth."""
    return any(isinstance(around, ast.AsyncFunctionDef) for around in module.ancestors(node))


def is_shipped_by_decorator(function: Function) -> bool:
    """Say whether a decorator runs the function elsewhere, or later: calling it does not block."""
    return any(
        not _NOT_CALLED_AT_ONCE.isdisjoint(words(last_name(one))) and not isinstance(function, ast.AsyncFunctionDef)
        for one in function.decorator_list
    )


def _handed(module: Module, call: ast.Call) -> ast.expr | None:
    name = last_name(call.func)
    if name == "run_in_executor":
        return _after_context(call.args[_is_executor(call) :])
    if name in {"submit", "map"}:
        return _after_context(call.args) if _is_pool(module, call, name) else None
    if name in {"Thread", "Timer"}:
        return _of_thread(module, call)
    if name in {"to_thread", "run_sync", "run_in_threadpool", "sync_to_async", "asyncify"}:
        return _after_context(call.args) if module.qualified(call.func) in _FIRST or "thread" in name else None
    said = words(name)
    if SHIPPING_WORDS.isdisjoint(said) or not _OTHER_WORDS.isdisjoint(said):
        return None
    if not _STARTING.isdisjoint(said) and not is_in_coroutine(module, call):
        return None
    return next((one for one in call.args if _is_function(one)), None)


def _is_executor(call: ast.Call) -> bool:
    """Say whether the first argument is the executor, as the loop's own method has it; a helper may take none."""
    if not isinstance(call.func, ast.Name) or not call.args:
        return True
    first = call.args[0]
    is_none = isinstance(first, ast.Constant)
    return is_none or not {"executor", "pool"}.isdisjoint(words(last_name(first)))


def _is_pool(module: Module, call: ast.Call, name: str) -> bool:
    """Say whether `owner.submit(f)` is an executor's, in a coroutine; a synchronous program may use its threads."""
    if not isinstance(call.func, ast.Attribute) or not is_in_coroutine(module, call):
        return False
    owner = words(last_name(call.func.value))
    return name == "submit" or not {"executor", "pool", "thread"}.isdisjoint(owner)


def _of_thread(module: Module, call: ast.Call) -> ast.expr | None:
    if module.qualified(call.func) not in _THREADS or not is_in_coroutine(module, call):
        return None
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return named.get("target") or named.get("function") or (call.args[1] if len(call.args) > 1 else None)


def _after_context(arguments: list[ast.expr]) -> ast.expr | None:
    """Return the first argument that is a function; `context.run` is none, but runs the next one."""
    if len(arguments) > 1 and _is_context_run(arguments[0]):
        return arguments[1]
    return arguments[0] if arguments and _is_function(arguments[0]) else None


def _is_context_run(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Attribute) and node.attr == "run"):
        return False
    return not {"context", "ctx"}.isdisjoint(words(last_name(node.value)))


def _is_function(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return last_name(node.func) == "partial"
    return isinstance(node, ast.Name | ast.Attribute | ast.Lambda)
