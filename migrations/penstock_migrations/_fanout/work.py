"""`Works`: what a call starts - a coroutine, a task, something that runs already - and whether it is limited."""

from __future__ import annotations

import ast
import enum
from dataclasses import dataclass, replace

from penstock_migrations._code.elements import Element, Elements
from penstock_migrations._code.endings import Ending, Endings
from penstock_migrations._code.limits import Limits
from penstock_migrations._code.reaching import Reaching, last_name
from penstock_migrations._code.sizes import Size
from penstock_migrations._code.vocabulary import TASK, TEARDOWN, mentions, says

__all__ = ["CREATES", "GATHERS", "SPAWNS", "WAITS", "Kind", "Work", "Works"]

GATHERS = frozenset({"asyncio.gather", "asyncio.tasks.gather"})
WAITS = frozenset({"asyncio.wait", "asyncio.as_completed", "asyncio.tasks.wait", "asyncio.tasks.as_completed"})
CREATES = frozenset({"asyncio.create_task", "asyncio.tasks.create_task"})
SPAWNS = CREATES | {"asyncio.ensure_future", "penstock_tasks.create_task"}
_SPAWNING_METHODS = frozenset({"create_task", "start_soon"})
_RUNNING = frozenset({"asyncio.wrap_future", "asyncio.run_coroutine_threadsafe"})
_LIMITED = frozenset({"penstock_limits.gather", "penstock_limits.create_task"})
_COROUTINE_KEYWORDS = frozenset({"coro", "coro_or_future"})
_RUNNING_METHODS = frozenset({"run_in_executor", "submit", "create_future"})
_HOSTS = frozenset({"tg", "group", "taskgroup", "nursery", "loop"})
_HOST_MAKERS = frozenset({"asyncio.TaskGroup", "anyio.create_task_group", "trio.open_nursery"})
_OWN_TASKS = TASK | {"pending", "done", "running"}
_RUNS_ALREADY = _OWN_TASKS | {"future", "fut"}


class Kind(enum.Enum):
    """What is started: `FUTURE` runs from the moment it is made, `UNKNOWN` is handed in from outside."""

    COROUTINE = enum.auto()
    TASK = enum.auto()
    FUTURE = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One kind of awaitable that a fan-out starts.

    Attributes:
        kind: What it is.
        element: Where it comes from, and what the number depends on.
        call: The call that makes the coroutine, where it is seen.
        creation: The call that makes the task, if one does.
        ending: How it ends.
    """

    kind: Kind
    element: Element
    call: ast.Call | None = None
    creation: ast.Call | None = None
    ending: Ending = Ending.ALONE

    @property
    def size(self) -> Size:
        """What the number depends on."""
        return self.element.size


class Works:
    """Answers what calls of one module start."""

    def __init__(self, names: Reaching, elements: Elements, limits: Limits) -> None:
        self.names = names
        self.module = names.module
        self.elements = elements
        self.limits = limits
        self.endings = Endings(names)

    def of(self, element: Element) -> list[Work]:
        """Say what an element of a gathered collection starts; nothing if that is no new work."""
        if isinstance(element.value, ast.Call):
            return self.of_call(element.value, element)
        handed_in = element.parameter is not None and isinstance(element.value, ast.Name | None)
        if element.parameter is None or not handed_in or _brings_tasks(element.parameter):
            return []
        return [Work(Kind.UNKNOWN, element)]

    def of_call(self, call: ast.Call, element: Element) -> list[Work]:
        """Say what a call starts; nothing if that is no new work."""
        name = self.module.qualified(call.func)
        if self.is_spawn(call):
            return [self._task(made, element, call) for made in self._spawned(call, element)]
        if self._is_running(call):
            return []
        if (
            name == "asyncio.shield"
            and call.args
            and mentions(last_name(call.args[0]) or "", _OWN_TASKS | {"future", "fut"})
        ):
            return []  # of what runs already
        if name in GATHERS or name == "asyncio.shield":
            return [Work(Kind.FUTURE, element, call)]
        if name == "asyncio.wait_for" and call.args and isinstance(call.args[0], ast.Call):
            return self.of_call(call.args[0], element)
        if (inner := self._passed_on(call)) is not None:
            return self.of_call(inner, element)
        return [Work(Kind.COROUTINE, _tamed(element, call), call, ending=self.endings.of_call(call))]

    def spawns(self) -> list[ast.Call]:
        """Return the calls that make a task of a coroutine, or of a function, in the order of the text."""
        found = dict.fromkeys([*self.module.calls_to(SPAWNS), *self.module.calls_of(*_SPAWNING_METHODS)])
        return sorted(filter(self.is_spawn, found), key=lambda call: (call.lineno, call.col_offset))

    def is_spawn(self, call: ast.Call) -> bool:
        """Say whether a call makes a task of a coroutine, or of a function."""
        if self.module.qualified(call.func) in SPAWNS:
            return bool(_given(call))
        return (
            bool(call.args)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in _SPAWNING_METHODS
            and self._is_host(call.func.value)
        )

    def is_limited(self, work: Work) -> bool:
        """Say whether a work takes a limiter, as far as this module shows."""
        if work.call is None:
            return False
        functions = self.names.functions(work.call)
        return self.limits.is_limited_call(work.call) or any(map(self.limits.holds_limiter, functions))

    def _spawned(self, call: ast.Call, element: Element) -> list[ast.expr | None]:
        first, *arguments = _given(call)
        if last_name(call.func) == "start_soon":
            return [first if isinstance(first, ast.Call) else self.module.made_call(first, arguments, call)]
        return [one.value for one in self.elements.followed(Element(first, element.size))]

    def _task(self, made: ast.expr | None, element: Element, creation: ast.Call) -> Work:
        if not isinstance(made, ast.Call):
            return Work(Kind.TASK, element, None, creation)
        return Work(Kind.TASK, _tamed(element, made), made, creation, ending=self.endings.of_call(made))

    def _passed_on(self, call: ast.Call) -> ast.Call | None:
        """Return the call whose result a lambda, or a plain function of this module, passes on."""
        if isinstance(call.func, ast.Name):
            _, found = self.names.bindings(call.func.id, call)
            if len(found) == 1 and isinstance(found[0].value, ast.Lambda):
                body = found[0].value.body
                return body if isinstance(body, ast.Call) else None
        match self.names.functions(call):
            case [ast.FunctionDef() as function]:
                started = [
                    one
                    for one in self.module.returned_by(function)
                    if isinstance(one, ast.Call) and self._is_started(one)
                ]
                return started[0] if len(started) == len(self.module.returned_by(function)) == 1 else None
            case _:
                return None

    def _is_started(self, call: ast.Call) -> bool:
        return self._is_running(call) or self.is_spawn(call)

    def _is_running(self, call: ast.Call) -> bool:
        """Say whether a call returns what runs already, or what an executor or a limiter limits."""
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        return method in _RUNNING_METHODS or self.module.qualified(call.func) in _RUNNING | _LIMITED

    def _is_host(self, node: ast.expr) -> bool:
        """Say whether an object is an event loop or a task group."""
        if isinstance(node, ast.Call):
            name = self.module.qualified(node.func) or ""
            return name in _HOST_MAKERS or name.endswith("_loop")
        if mentions(last_name(node), _HOSTS):
            return True
        _, found = self.module.bindings(node.id, node) if isinstance(node, ast.Name) else (None, [])
        return any(isinstance(one.value, ast.Call) and self._is_host(one.value) for one in found)


def _given(call: ast.Call) -> list[ast.expr]:
    """Return what a spawn is given, also by keyword: `create_task(coro=work())`."""
    return [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in _COROUTINE_KEYWORDS)]


def _tamed(element: Element, call: ast.Call) -> Element:
    """Take tearing down for what it is: it ends what was set up before, so its number is that of an object's own."""
    ends = mentions(last_name(call.func), TEARDOWN)
    return replace(element, size=min(element.size, Size.OWN)) if ends else element


def _brings_tasks(parameter: ast.arg) -> bool:
    """Say whether a parameter brings tasks or futures, which run already."""
    if parameter.annotation is not None:
        annotation = ast.unparse(parameter.annotation)
        if "Task" in annotation or "Future" in annotation:
            return True
        if "Coroutine" in annotation or "Awaitable" in annotation:
            return False
    return says(parameter.arg, _OWN_TASKS)
