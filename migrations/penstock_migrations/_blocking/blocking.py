"""`Blockings`: the calls of one module that block their thread, and what becomes of lambdas."""

from __future__ import annotations

import ast
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from penstock_migrations._blocking.known import (
    FILE_METHODS,
    FUNCTIONS,
    HTTP_LIBRARIES,
    METHODS,
    SDK_CLASSES,
    SDK_LOCAL,
    SDK_METHODS,
    is_among,
)
from penstock_migrations._blocking.makers import Makers
from penstock_migrations._blocking.running import is_for_development
from penstock_migrations._blocking.shipping import is_shipped_by_decorator, waited_for
from penstock_migrations._code.facts import Blocking
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import blocks, last_name
from penstock_migrations.rule import Options

__all__ = ["BlockingCall", "Blockings", "blockings"]

_FUNCTION_NAMES = frozenset(name.rpartition(".")[2] for name in FUNCTIONS)
_METHOD_NAMES = frozenset(name for _, names in METHODS.values() for name in names)
_FILE_NAMES = FILE_METHODS
_HTTP_ROOTS = HTTP_LIBRARIES
_PROCESS_LIBRARIES = frozenset({"psutil", "subprocess"})
_SCHEDULERS = frozenset({"gather", "create_task", "ensure_future", "wait_for", "shield", "start_soon", "wait"})
_CALLING = frozenset({"all", "any", "filter", "list", "map", "max", "min", "reduce", "sorted", "sum"})
_LOOP_ASKED = frozenset({"get_running_loop", "_get_running_loop", "is_running", "current_async_library"})
_CLEARING = frozenset({"clear", "cls"})
_SHORT = 0.05  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class BlockingCall:
    """A call that blocks its thread.

    Attributes:
        node: The call; the bound method, where that is handed on.
        kind: `http`, `sdk`, `sleep`, `process` or `file`.
        what: What blocks, in words: `requests.get`.
        seconds: How long it sleeps, where that can be seen.
    """

    node: ast.expr
    kind: str
    what: str
    seconds: float | None = None

    @property
    def is_short(self) -> bool:
        """Whether it is a sleep too short to matter beyond the function itself."""
        return self.seconds is not None and self.seconds < _SHORT

    @property
    def fact(self) -> Blocking:
        """What other files are told."""
        return Blocking(self.kind, self.what, self.node.lineno)


_ENDING_SIGNALS = {"SIGKILL", "SIGTERM", "SIGINT", "SIGABRT", "SIGSEGV", "SIGQUIT"}


class Blockings:
    """The blocking calls of one module, by the function whose thread they block."""

    def __init__(self, module: Module, options: Options) -> None:
        self.module = module
        self.listed = options.blocking_calls
        self.makers = Makers(module)
        self.has_clients = bool(self.listed) or not _HTTP_ROOTS.isdisjoint(module.roots)
        self._has_processes = not _PROCESS_LIBRARIES.isdisjoint(module.roots)
        self._in: dict[Function | None, list[BlockingCall]] = defaultdict(list)
        for call in self._candidates():
            found = self.classified(call)
            if found is not None and not self.is_awaited(call) and self.is_run_at_once(call):
                self._in[module.function(call)].append(found)
        self._aware = {module.function(call) for call in module.calls_of(*_LOOP_ASKED)}
        self._aware |= {
            function
            for function, line in _two_coloured(module)
            if all(call.node.lineno > line for call in self._in.get(function, ()))
        }

    def calls(self, function: Function | None) -> list[BlockingCall]:
        """Return the blocking calls of a function, not those of the functions within it."""
        return self._in.get(function, [])

    def tells(self, function: Function) -> bool:
        """Say whether calling the function blocks as its body does: it is not run elsewhere, nor knows who asks."""
        if isinstance(function, ast.AsyncFunctionDef):
            return True
        return function not in self._aware and not is_shipped_by_decorator(function)

    def facts(self, function: Function) -> tuple[Blocking, ...]:
        """Return what a function tells other files of; files are no matter beyond the function itself."""
        if not self.tells(function):
            return ()
        told = (one for one in self.calls(function) if one.kind != "file" and not one.is_short)
        return tuple(one.fact for one in told if not is_for_development(self.module, one.node))

    # -- what a call is ---------------------------------------------------------------------------------------------

    def _candidates(self) -> Iterator[ast.Call]:
        module = self.module
        names = {"sleep", "open", "system", "wait_procs", "waitpid", *_FILE_NAMES}
        if self.has_clients:
            names |= _FUNCTION_NAMES | _METHOD_NAMES | {"submit", "map"}
            if self.listed or any(one.partition(".")[0] in module.roots for one in SDK_CLASSES):
                yield from module.calls
                return
        elif self._has_processes:
            names |= {name for name in _FUNCTION_NAMES if f"subprocess.{name}" in FUNCTIONS} | {"wait", "communicate"}
        yield from module.calls_of(*names)

    def classified(self, call: ast.Call) -> BlockingCall | None:
        what = self.named(call.func) or self._waited_for(call)
        if what is None:
            return None
        kind, name = what
        if kind == "sleep":
            seconds = _constant(call.args[0]) if call.args else None
            return None if seconds == 0 or self._dies_before(call) else BlockingCall(call, kind, name, seconds)
        return None if _is_quick(call) else BlockingCall(call, kind, name)

    def _dies_before(self, sleep: ast.Call) -> bool:
        """Say whether a function kills its own process, and then, in the same block, sleeps until that is done."""
        module, statement = self.module, self.module.statement(sleep)
        kills = module.calls_of("kill")
        around = next((block for block in blocks(module.parents[statement]) if statement in block), []) if kills else []
        return any(
            module.qualified(kill.func) == "os.kill"
            and module.function(kill) is module.function(sleep)
            and kill.lineno < sleep.lineno
            and module.statement(kill) in around
            and _ends_own_process(module, kill)
            for kill in kills
        )

    def _waited_for(self, call: ast.Call) -> tuple[str, str] | None:
        handed = waited_for(self.module, call) if last_name(call.func) in {"submit", "map"} else None
        return None if handed is None else self.named(handed)

    def named(self, func: ast.expr) -> tuple[str, str] | None:
        """Return the kind and the name of what a function or bound method blocks by; None if it does not."""
        if (imported := self._imported(func)) is not None:
            if is_among(imported, self.listed):
                return "http", imported
            return (FUNCTIONS[imported], imported) if imported in FUNCTIONS else None
        if isinstance(func, ast.Attribute):
            return self._method(func) if self.has_clients or self._has_processes else _of_path(func)
        return None

    def _imported(self, func: ast.expr) -> str | None:
        """Return the imported or built-in name of a function, unless something local has the same name."""
        root = func
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            return None
        name = self.module.qualified(func)
        if name is None:
            return "open" if root is func and root.id == "open" and not self._is_own("open", func) else None
        return name if root.id not in self.module.imports or not self.module.bindings(root.id, root)[1] else None

    def _is_own(self, name: str, node: ast.AST) -> bool:
        return bool(self.module.function_named(name, node) or self.module.bindings(name, node)[1])

    def _method(self, func: ast.Attribute) -> tuple[str, str] | None:
        for maker in sorted(self.makers.of(func.value)):
            kind, names = METHODS.get(maker, ("", frozenset[str]()))
            if func.attr in names:
                return kind, f"{maker}.{func.attr}"
            if is_among(f"{maker}.{func.attr}", self.listed):
                return "http", f"{maker}.{func.attr}"
        return self._vendor(func) or _of_path(func)

    def _vendor(self, func: ast.Attribute) -> tuple[str, str] | None:
        """Recognise a vendor's client at the root of `client.chat.completions.create`."""
        root, depth = func.value, 1
        while isinstance(root, ast.Attribute) and not self._is_own_attribute(root):
            root, depth = root.value, depth + 1
        for maker in sorted(self.makers.of(root) & SDK_CLASSES):
            if maker.startswith("boto3."):
                does = depth == 1 and func.attr not in SDK_LOCAL
            else:
                does = depth > 1 and func.attr in SDK_METHODS
            if does:
                return "sdk", f"{maker} client's {func.attr}"
        return None

    def _is_own_attribute(self, node: ast.Attribute) -> bool:
        return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}

    # -- where it runs ----------------------------------------------------------------------------------------------

    def is_awaited(self, call: ast.Call) -> bool:
        """Say whether a call makes an awaitable, by what is done with it."""
        parent = self.module.parents.get(call)
        match parent:
            case ast.Await():
                return True
            case ast.AsyncFor(iter=iterated) | ast.comprehension(iter=iterated, is_async=1):
                return iterated is call
            case ast.withitem():
                return isinstance(self.module.parents.get(parent), ast.AsyncWith)
            case ast.Call(func=func):
                return call in parent.args and last_name(func) in _SCHEDULERS
            case _:
                return False

    def lambda_around(self, node: ast.AST) -> ast.Lambda | None:
        """Return the innermost lambda around a node within its function."""
        if not self.module.lambdas:
            return None
        for around in self.module.ancestors(node):
            if isinstance(around, ast.Lambda):
                return around
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
                return None
        return None

    def is_run_at_once(self, node: ast.AST) -> bool:
        """Say whether a node runs when its function does: it is in no lambda, or in one that is called there."""
        around = self.lambda_around(node)
        return around is None or self.is_called_there(around)

    def is_called_there(self, made: ast.expr) -> bool:
        """Say whether a lambda or a `partial` is called by the function that makes it."""
        parent = self.module.parents.get(made)
        match parent:
            case ast.Call(func=func) if func is made:
                return self.is_run_at_once(parent)
            case ast.Call(func=ast.Name(id=name)) if name in _CALLING:
                return self.is_run_at_once(parent)
            case ast.Assign(targets=[ast.Name(id=name)]):
                function = self.module.function(made)
                return any(self.module.function(call) is function for call in self.module.calls_of(name))
            case _:
                return False


class _ByOptions:
    """Keeps what was found in a module, for each of the options it was asked with."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.known: dict[Options, Blockings] = {}


def blockings(module: Module, options: Options) -> Blockings:
    """Return the blocking calls of a module, looked for once."""
    kept = module.analysis(_ByOptions)
    if options not in kept.known:
        kept.known[options] = Blockings(module, options)
    return kept.known[options]


def _two_coloured(module: Module) -> Iterator[tuple[Function, int]]:
    """Yield the functions that hand a coroutine of their own to some callers, and do the work for the others.

    With each comes the line of the test that says which.
    """
    for name, inner in ((name, one) for name, found in module.functions.items() for one in found):
        outer = module.function(inner) if isinstance(inner, ast.AsyncFunctionDef) else None
        if isinstance(outer, ast.FunctionDef):
            made = [one for one in module.returned_by(outer) if isinstance(one, ast.Call) and _is_named(one.func, name)]
            tests = [around for one in made for around in _within(module, one, outer) if isinstance(around, ast.If)]
            if tests:
                yield outer, min(test.lineno for test in tests)


def _ends_own_process(module: Module, kill: ast.Call) -> bool:
    match kill.args:
        case [ast.Call(func=own), signal]:
            return module.qualified(own) == "os.getpid" and last_name(signal) in _ENDING_SIGNALS
        case _:
            return False


def _within(module: Module, node: ast.AST, outer: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes around a node, as far as an outer one."""
    return itertools.takewhile(lambda around: around is not outer, module.ancestors(node))


def _is_named(func: ast.expr, qualname: str) -> bool:
    return isinstance(func, ast.Name) and func.id == qualname.rpartition(".")[2]


def _of_path(func: ast.Attribute) -> tuple[str, str] | None:
    return ("file", func.attr) if func.attr in FILE_METHODS else None


def _constant(node: ast.expr) -> float | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return float(value) if isinstance(value, int | float) else None


def _is_quick(call: ast.Call) -> bool:
    """Say whether `os.waitpid` is told not to wait, or `os.system` only clears the screen."""
    if any("WNOHANG" in ast.unparse(one) for one in call.args[1:]):
        return True
    command = call.args[0] if last_name(call.func) == "system" and call.args else None
    choices = (command.body, command.orelse) if isinstance(command, ast.IfExp) else (command,)
    return all(isinstance(one, ast.Constant) and one.value in _CLEARING for one in choices)
