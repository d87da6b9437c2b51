"""Finds fan-outs: the calls that start many awaitables at once, what they start, and what sets the number."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._elements import Element, Elements
from penstock_migrations._limits import Limits
from penstock_migrations._module import Module
from penstock_migrations._reaching import LOOPS, Reaching, blocks, own_nodes, returns
from penstock_migrations._sizes import Size, Sizes
from penstock_migrations._vocabulary import TASK, mentions, says

__all__ = ["FanOut", "FanOuts", "Kind", "Work"]

_GATHERS = frozenset({"asyncio.gather", "asyncio.tasks.gather"})
_SHOWN_GATHERS = frozenset({"tqdm.asyncio.tqdm.gather", "tqdm.asyncio.tqdm_asyncio.gather"})
_WAITS = frozenset({"asyncio.wait", "asyncio.as_completed", "asyncio.tasks.wait", "asyncio.tasks.as_completed"})
_SPAWNS = frozenset({"asyncio.create_task", "asyncio.ensure_future", "asyncio.tasks.create_task", "asyncio.async"})
_RUNNING = frozenset({"asyncio.wrap_future", "asyncio.run_coroutine_threadsafe"})
_RUNNING_METHODS = frozenset({"run_in_executor", "submit", "create_future"})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_GROUPS = frozenset({"tg", "group", "taskgroup", "nursery", "loop"})


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
        size: What the number depends on.
        call: The call that makes the coroutine, where it is seen.
        creation: The call that makes the task, if one does.
        endless: It may never end, or waits for its peers.
    """

    kind: Kind
    size: Size
    call: ast.Call | None = None
    creation: ast.Call | None = None
    endless: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FanOut:
    """A call that starts many awaitables, and those whose number nothing limits.

    Attributes:
        call: The offending call.
        works: What it starts without a limit.
    """

    call: ast.Call
    works: tuple[Work, ...]


class FanOuts:
    """The fan-outs of one module, each found by one rule only."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)
        self.sizes = Sizes(self.names)
        self.elements = Elements(self.names, self.sizes)
        self.limits = Limits(self.names)
        self._covered: set[ast.AST] = set()

    @cached_property
    def gathers(self) -> list[FanOut]:
        """The gathers whose number of awaitables nothing limits."""
        return [
            found
            for call in self._named(_GATHERS | _SHOWN_GATHERS)
            if (found := self._consumer(call, _starred(call))) is not None
        ]

    @cached_property
    def task_loops(self) -> list[FanOut]:
        """The other calls: tasks created in a loop, waited for one by one, or left."""
        _ = self.gathers  # they cover the tasks that they gather
        waits = [found for call in self._named(_WAITS) if (found := self._consumer(call, call.args[:1])) is not None]
        left = [
            found
            for call in self.module.calls
            if self.is_spawn(call) and call not in self._covered and (found := self._left(call)) is not None
        ]
        return waits + left

    def is_spawn(self, call: ast.Call) -> bool:
        """Say whether a call makes a task of a coroutine."""
        if not call.args:
            return False
        if self.module.qualified(call.func) in _SPAWNS:
            return True
        return (
            isinstance(call.func, ast.Attribute) and call.func.attr == "create_task" and self._is_host(call.func.value)
        )

    def callees(self, fan_out: FanOut) -> tuple[str, ...]:
        """Return references of what does the work; empty where one of them cannot be told."""
        found = [self.limits.references(work.call) if work.call is not None else [] for work in fan_out.works]
        return tuple(dict.fromkeys(one[0] for one in found)) if all(found) else ()

    # -- gather, as_completed, wait ---------------------------------------------------------------------------------

    def _named(self, names: frozenset[str]) -> Iterator[ast.Call]:
        return (call for call in self.module.calls if self.module.qualified(call.func) in names)

    def _consumer(self, call: ast.Call, collections: list[ast.expr]) -> FanOut | None:
        works = [work for node in collections for element in self.elements.of(node) for work in self._works(element)]
        works = [work for work in works if work.creation is None or self._is_beside(work.creation, call)]
        if any(self._is_drained(node, call) for node in collections):
            return None
        self._covered.update(work.creation for work in works if work.creation is not None)
        if self._is_race(call):
            return None
        unlimited = [work for work in works if work.size > Size.CONFIGURED and not self._is_limited(work)]
        if any(self._is_window(node, call) for node in collections) or not unlimited:
            return None
        return FanOut(_blamed(call, works, unlimited), tuple(unlimited))

    def _is_beside(self, creation: ast.Call, call: ast.Call) -> bool:
        """Say whether a task is made by the function that waits for it: else the wait only drains what runs."""
        return self.module.function(creation) is self.module.function(call)

    def _works(self, element: Element) -> list[Work]:
        """Say what an element of a gathered collection is; nothing for what is no new work."""
        match element.value:
            case ast.Call() as call:
                return self._called_works(call, element.size)
            case None | ast.Name() if element.parameter is not None and not _brings_tasks(element.parameter):
                return [Work(Kind.UNKNOWN, element.size)]
            case _:
                return []

    def _called_works(self, call: ast.Call, size: Size) -> list[Work]:
        name = self.module.qualified(call.func)
        if self.is_spawn(call):
            made = [one.value for one in self.elements.followed(Element(call.args[0], size))]
            return [self._task(one, size, call) for one in made]
        if name in _RUNNING or (isinstance(call.func, ast.Attribute) and call.func.attr in _RUNNING_METHODS):
            return []
        if name in _GATHERS or name == "asyncio.shield":
            return [Work(Kind.FUTURE, size, call)]
        if name == "asyncio.wait_for" and call.args and isinstance(call.args[0], ast.Call):
            return self._called_works(call.args[0], size)
        if (inner := self._passed_on(call)) is not None:
            return self._called_works(inner, size)
        return [Work(Kind.COROUTINE, size, call, endless=self.limits.is_endless(call))]

    def _task(self, made: ast.expr | None, size: Size, creation: ast.Call) -> Work:
        if not isinstance(made, ast.Call):
            return Work(Kind.TASK, size, None, creation)
        return Work(Kind.TASK, size, made, creation, endless=self.limits.is_endless(made))

    def _passed_on(self, call: ast.Call) -> ast.Call | None:
        """Return the call whose result a plain function or lambda of this module passes on."""
        if isinstance(call.func, ast.Name):
            _, found = self.names.bindings(call.func.id, call)
            if len(found) == 1 and isinstance(found[0].value, ast.Lambda):
                body = found[0].value.body
                return body if isinstance(body, ast.Call) else None
        functions = self.names.functions(call)
        if len(functions) != 1 or isinstance(functions[0], ast.AsyncFunctionDef):
            return None
        match returns(functions[0]):
            case [ast.Call() as inner] if inner is not call and self.is_starter(inner):
                return inner
            case _:
                return None

    def is_starter(self, call: ast.Call) -> bool:
        """Say whether a call starts something that then runs: a task, or work of an executor."""
        started = isinstance(call.func, ast.Attribute) and call.func.attr in _RUNNING_METHODS
        return started or self.is_spawn(call) or self.module.qualified(call.func) in _RUNNING

    def _is_limited(self, work: Work) -> bool:
        if work.call is None:
            return False
        functions = self.names.functions(work.call)
        return self.limits.is_limited_call(work.call) or any(self.limits.facts(one).limits for one in functions)

    def _is_drained(self, node: ast.expr, call: ast.Call) -> bool:
        """Say whether what is waited for was cancelled before: the wait only drains it."""
        name = ast.unparse(node.value if isinstance(node, ast.Starred) else node)
        function = self.module.function(call) or self.module.tree
        return any(
            isinstance(loop, ast.For)
            and loop.lineno < call.lineno
            and name in ast.unparse(loop.iter)
            and any(_is_cancel(part) for part in ast.walk(loop))
            for loop in own_nodes(function)
        )

    def _is_race(self, call: ast.Call) -> bool:
        """Say whether only the first to finish counts: a limit would change who wins."""
        first = any(keyword.arg == "return_when" and "FIRST" in ast.unparse(keyword.value) for keyword in call.keywords)
        if first:
            return not any(isinstance(around, LOOPS) for around in self.module.ancestors(call))
        loop = self.module.parents.get(call)
        if isinstance(loop, ast.For | ast.AsyncFor) and loop.iter is call:
            return any(isinstance(node, ast.Break | ast.Return) for node in loop.body[-1:]) or _cancels(loop)
        return False

    def _is_window(self, node: ast.expr, call: ast.Call) -> bool:
        inner = node.value if isinstance(node, ast.Starred) else node
        return self._has_window(ast.unparse(inner), call) if isinstance(inner, ast.Name | ast.Attribute) else False

    def _has_window(self, collection: str, call: ast.Call) -> bool:
        """Say whether the function waits as soon as the collection has reached a size."""
        function = self.module.function(call)
        if function is None:
            return False
        return any(
            isinstance(check, ast.If | ast.While)
            and _measures(check.test, collection)
            and any(isinstance(part, ast.Await) for statement in check.body for part in ast.walk(statement))
            for check in own_nodes(function)
        )

    # -- tasks that nobody gathers ----------------------------------------------------------------------------------

    def _left(self, call: ast.Call) -> FanOut | None:
        loops = self._loops(call)
        if not loops or self._is_consumed_in_turn(call, loops[0]):
            return None
        size = self.sizes.turns(loops)
        works = [work for work in self._called_works(call, size) if not self._is_limited(work)]
        if not works or size <= Size.CONFIGURED:
            return None
        collections = self._collections(call)
        if any(self._has_window(name, call) for name in collections):
            return None
        if size is Size.ARRIVALS and not collections and not isinstance(self.module.statement(call), ast.Expr):
            return None  # one task, replaced from time to time
        return FanOut(call, tuple(works))

    def _loops(self, call: ast.Call) -> list[ast.AST]:
        """Return the loops whose turns each make one more task, innermost first."""
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        loops: list[ast.AST] = []
        inner: ast.AST = call
        for around in self.module.ancestors(call):
            if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                break
            if isinstance(around, ast.AsyncWith) and any(
                item.optional_vars is not None and ast.unparse(item.optional_vars) == owner for item in around.items
            ):
                break
            if isinstance(around, LOOPS) and inner in around.body:
                loops.append(around)
            elif isinstance(around, _COMPREHENSIONS):
                loops.extend(around.generators)
            inner = around
        return loops

    def _is_consumed_in_turn(self, call: ast.Call, loop: ast.AST) -> bool:
        """Say whether the loop's turn waits for the task, keeps only the last one, or is the last turn."""
        for around in self.module.ancestors(call):
            if isinstance(around, ast.Await):
                return True
            if isinstance(around, (*_COMPREHENSIONS, ast.stmt)):
                break
        statement = self.module.statement(call)
        if isinstance(statement, ast.Return):
            return True
        if isinstance(loop, ast.comprehension):
            return False
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Attribute) for target in targets):
                return True
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if any(_is_awaited(name, loop) for name in names):
                return True
        block = next((one for one in blocks(self.module.parents[statement]) if statement in one), [])
        return any(isinstance(after, ast.Break | ast.Return) for after in block[block.index(statement) :] if block)

    def _collections(self, call: ast.Call) -> list[str]:
        """Return the names of what a task is put into."""
        statement = self.module.statement(call)
        function = self.module.function(call) or self.module.tree
        task = next((ast.unparse(target) for target in getattr(statement, "targets", [])), None)
        found = []
        for node in own_nodes(function):
            match node:
                case ast.Call(func=ast.Attribute(value=owner, attr="append" | "add"), args=[item]):
                    if item is call or (isinstance(item, ast.Name) and item.id == task):
                        found.append(ast.unparse(owner))
                case ast.Subscript(value=owner) if node in getattr(statement, "targets", []):
                    found.append(ast.unparse(owner))
                case _:
                    pass
        return found

    def _is_host(self, node: ast.expr) -> bool:
        """Say whether an object with `create_task` is an event loop or a task group."""
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        if mentions(name, _GROUPS):
            return True
        if isinstance(node, ast.Call):
            return (self.module.qualified(node.func) or "").startswith("asyncio.")
        _, found = self.module.bindings(name, node) if isinstance(node, ast.Name) else (None, [])
        return any(isinstance(one.value, ast.Call) and self._is_host(one.value) for one in found)


def _blamed(call: ast.Call, works: list[Work], unlimited: list[Work]) -> ast.Call:
    """Return the call to report: where a part is limited, the one that makes the unlimited part."""
    creation = unlimited[0].creation
    return call if creation is None or len(unlimited) == len(works) else creation


def _starred(call: ast.Call) -> list[ast.expr]:
    return [argument for argument in call.args if isinstance(argument, ast.Starred)]


def _brings_tasks(parameter: ast.arg) -> bool:
    """Say whether a parameter brings tasks or futures, which run already."""
    if parameter.annotation is not None:
        annotation = ast.unparse(parameter.annotation)
        if "Task" in annotation or "Future" in annotation:
            return True
        if "Coroutine" in annotation or "Awaitable" in annotation:
            return False
    return says(parameter.arg, TASK | {"pending", "done", "running"})


def _is_cancel(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cancel"


def _cancels(loop: ast.For | ast.AsyncFor) -> bool:
    return any(_is_cancel(node) for node in ast.walk(loop))


def _is_awaited(name: str, loop: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Await) and any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
        for node in own_nodes(loop)
    )


def _measures(test: ast.expr, collection: str) -> bool:
    return any(
        isinstance(part, ast.Compare)
        and isinstance(part.left, ast.Call)
        and ast.unparse(part.left) == f"len({collection})"
        and isinstance(part.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE)
        and not (isinstance(part.comparators[0], ast.Constant) and part.comparators[0].value in (0, 1))
        for part in ast.walk(test)
    )
