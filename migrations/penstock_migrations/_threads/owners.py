"""`Owners`: the threads, timers and executors of a module that nothing ends."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import own_nodes
from penstock_migrations._code.vocabulary import mentions
from penstock_migrations._threads.endings import Endings
from penstock_migrations._threads.places import Kept, Place, Places, meet
from penstock_migrations._threads.words import STOPPING
from penstock_migrations._threads.work import ThreadWork

__all__ = ["LostExecutor", "LostThread", "Owners", "Stop"]

_THREADS = frozenset({"threading.Thread"})
_TIMERS = frozenset({"threading.Timer"})
_FUTURES = ("concurrent.futures", "concurrent.futures.thread", "concurrent.futures.process")
_EXECUTORS = frozenset(f"{module}.{name}PoolExecutor" for module in _FUTURES for name in ("Thread", "Process")) | {
    "multiprocessing.pool.ThreadPool",
    "multiprocessing.Pool",
    "multiprocessing.pool.Pool",
}
_JOINS = frozenset({"join"})
_CANCELS = frozenset({"join", "cancel"})
_SHUTDOWNS = frozenset({"shutdown", "__exit__", "close", "terminate", "set_default_executor"})
_SIGNALS = frozenset({"set", "clear"})
_DONE = frozenset({"set", "set_result", "set_exception"})
_WAITS = frozenset({"wait", "result", "wait_for", "exception", "is_set"})
_PUTS = frozenset({"put", "put_nowait"})


class Stop(enum.Enum):
    """What becomes of a thread."""

    NEVER = enum.auto()
    FLAG = enum.auto()  # something flips a flag in passing, nothing waits
    ENDS = enum.auto()


@dataclass(frozen=True, slots=True, eq=False)
class LostThread:
    """A thread or timer that nothing joins or stops.

    Attributes:
        call: The call that makes it.
        work: What it runs.
        kind: `Thread` or `Timer`.
        daemon: Whether it is a daemon; None where a variable says it.
        stop: Whether a flag tells it to end, though nothing waits.
        is_script: Whether it is made when the module runs, once.
    """

    call: ast.Call
    work: ThreadWork
    kind: str
    daemon: bool | None
    stop: Stop
    is_script: bool


@dataclass(frozen=True, slots=True, eq=False)
class LostExecutor:
    """An executor that nothing shuts down.

    Attributes:
        call: The call that makes it.
        name: What makes it, `ThreadPoolExecutor`.
        attribute: The attribute that keeps it; None for one that a call makes for itself.
        is_single: Whether only one object of its class is made here, at import.
    """

    call: ast.Call
    name: str
    attribute: str | None
    is_single: bool


class Owners:
    """Answers for one module which threads and executors nothing ends."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.places = Places(module)

    @cached_property
    def endings(self) -> Endings:
        """What the module ends."""
        return Endings(self.places)

    def _calls(self, names: frozenset[str]) -> Iterator[tuple[ast.Call, str]]:
        for call in self.module.calls_to(names):
            own = isinstance(call.func, ast.Name) and call.func.id in self.module.classes
            if not own:
                yield call, self.module.qualified(call.func) or ""

    # -- threads ----------------------------------------------------------------------------------------------------

    @cached_property
    def threads(self) -> list[LostThread]:
        """The threads that nothing ends."""
        return [lost for call, _ in self._calls(_THREADS) if (lost := self._lost(call, "Thread")) is not None]

    @cached_property
    def timers(self) -> list[LostThread]:
        """The timers that nothing ends."""
        return [lost for call, _ in self._calls(_TIMERS) if (lost := self._lost(call, "Timer")) is not None]

    def _lost(self, call: ast.Call, kind: str) -> LostThread | None:
        kept = self.places.kept(call)
        if kept.escapes or kept.entered or self._is_ended(kept, _JOINS if kind == "Thread" else _CANCELS):
            return None
        work = ThreadWork(self.places, call, *_target(call, kind))
        stop = self._stop(work)
        if stop is Stop.ENDS or self._is_awaited(work):
            return None
        return LostThread(call, work, kind, self._is_daemon(call, kept), stop, self.module.function(call) is None)

    def _is_ended(self, kept: Kept, methods: frozenset[str]) -> bool:
        return bool(kept.places) and self.endings.uses(methods, kept.places, lambda _: True)

    def _stop(self, work: ThreadWork) -> Stop:
        """Say whether something makes the work end."""

        def outside(node: ast.AST) -> bool:
            return not work.runs(node)

        found = self.endings
        if (
            work.waits_for_main
            or (work.tested and found.uses(_SIGNALS, work.tested, outside))
            or found.tears_down(work.runners, outside)
            or found.sentinel(work.queues, outside)
            or (not work.reads_pipe and found.tells_to_stop(work.tested, outside))
            or any(map(self._is_given, work.events))
            or any(mentions(name, STOPPING) and self._is_given((scope, name)) for scope, name in work.tested)
        ):
            return Stop.ENDS
        flags = list(found.flags(work.tested, work.call, outside))
        if not flags:
            return Stop.NEVER
        here = self.module.function(work.call)
        ends = any(found.is_ending(flag) or self.module.function(flag) is here for flag in flags)
        return Stop.ENDS if ends else Stop.FLAG

    def _is_given(self, place: Place) -> bool:
        """Say whether a place is a parameter: who gives the event decides."""
        scope, name = place
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        found = scope.args
        return name in [one.arg for one in (*found.posonlyargs, *found.args, *found.kwonlyargs)]

    def _is_awaited(self, work: ThreadWork) -> bool:
        """Say whether something waits for the event or the result with which the work ends."""
        if work.loops or work.rearms or work.reads_pipe:
            return False

        def outside(node: ast.AST) -> bool:
            return not work.runs(node)

        if self.endings.uses(_WAITS, work.tells(_DONE), outside):
            return True
        here = self.module.function(work.call)
        if here is None:
            return False
        nodes = list(own_nodes(here))
        awaited = [node.value for node in nodes if isinstance(node, ast.Await)]
        if meet(self.places.sources(awaited), work.tells(_DONE)):
            return True
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
            return False
        return self.endings.uses(
            frozenset({"get"}), work.tells(_PUTS), lambda node: self.module.function(node) is here and outside(node)
        )

    def _is_daemon(self, call: ast.Call, kept: Kept) -> bool | None:
        for keyword in call.keywords:
            if keyword.arg == "daemon":
                return _truth(keyword.value)
        around = self.module.function(call) or self.module.tree
        names = {name for _, name in kept.places}
        said = {one for node in own_nodes(around) for one in _makes_daemon(node, names)}
        return None if len(said) > 1 else next(iter(said), False)

    # -- executors --------------------------------------------------------------------------------------------------

    @cached_property
    def executors(self) -> list[LostExecutor]:
        """The executors that nothing shuts down."""
        return [lost for call, name in self._calls(_EXECUTORS) if (lost := self._left(call, name)) is not None]

    def _left(self, call: ast.Call, name: str) -> LostExecutor | None:
        kept = self.places.kept(call)
        if kept.escapes or kept.entered or self._is_process_wide(call, kept):
            return None
        if kept.places and (self._is_ended(kept, _SHUTDOWNS) or self.endings.enters(kept.places)):
            return None
        attribute = next(
            (
                name
                for owner, name in kept.places
                if not isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            ),
            None,
        )
        return LostExecutor(call, name.rpartition(".")[2], attribute, self._is_single(call))

    def _is_process_wide(self, call: ast.Call, kept: Kept) -> bool:
        """Say whether there is one for the process: of the module or of a class."""
        if any(isinstance(owner, ast.Module) for owner, _ in kept.places):
            return True
        statement = self.module.statement(call)
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if self.module.function(call) is None and kept.places:
            return not any(isinstance(node, ast.Lambda) for node in self.module.ancestors(call))
        return any(self._is_of_class(target) for target in targets)

    def _is_of_class(self, target: ast.expr | None) -> bool:
        match target:
            case ast.Attribute(value=ast.Name(id=name)):
                return name == "cls" or name in self.module.classes
            case ast.Attribute(value=ast.Call(func=ast.Name(id="type"))):
                return True
            case ast.Attribute(value=ast.Attribute(attr="__class__")):
                return True
            case _:
                return False

    def _is_single(self, call: ast.Call) -> bool:
        """Say whether the class around is made into one object here, at import, and no other."""
        around = self.module.class_around(call)
        if around is None:
            return self.module.function(call) is None
        made = self.module.calls_of(around.name)
        return bool(made) and all(self.module.function(one) is None for one in made)


def _target(call: ast.Call, kind: str) -> tuple[ast.expr | None, list[ast.expr]]:
    """Return what a thread runs, and the arguments that it is run with."""
    word = "target" if kind == "Thread" else "function"
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    target = named.get(word) or (call.args[1] if len(call.args) > 1 else None)
    place = 3 if kind == "Thread" else 2
    handed = [named.get("args") or (call.args[place] if len(call.args) > place else None), named.get("kwargs")]
    values: list[ast.expr] = []
    for value in handed:
        match value:
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Dict(values=items):
                values += items
            case ast.expr():
                values.append(value)
            case _:
                pass
    if isinstance(target, ast.Call):  # partial(f, x), with_context(f)
        values += [*target.args, *(keyword.value for keyword in target.keywords)]
    return target, values


def _makes_daemon(node: ast.AST, names: set[str]) -> Iterator[bool | None]:
    """Yield whether a node makes a thread that has one of some names a daemon, if it says anything of it."""
    match node:
        case ast.Assign(targets=[ast.Attribute(attr="daemon", value=owner)], value=value) if _last(owner) in names:
            yield _truth(value)
        case ast.Call(func=ast.Attribute(attr="setDaemon", value=owner), args=[value]) if _last(owner) in names:
            yield _truth(value)
        case _:
            pass


def _truth(value: ast.expr) -> bool | None:
    return bool(value.value) if isinstance(value, ast.Constant) else None


def _last(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
