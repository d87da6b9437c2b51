"""Who has started what, how old it is and what it waits for: as data and as text."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from penstock_limits import Mode
from penstock_limits.introspection import CallSite

from penstock_tasks._tasks.calls import coroutine_name
from penstock_tasks._tasks.jobs import Job
from penstock_tasks._tasks.waits import stands_at, waits_on

__all__ = ["TaskNode", "TaskTree", "plant"]


@dataclass(frozen=True, slots=True)
class TaskNode:
    """A task of a manager.

    Attributes:
        name: The task's name.
        function: The qualified name of what it runs.
        part_of: What it belongs to, such as `scope 'ingest'` or `service 'heart'`; empty for a task of its own.
        age: How many seconds ago it was made.
        created: The line that has made it.
        parent: The name of the task that has made it; None if no task has, or if it is gone.
        waits_on: What it waits for: `sleep of 5 s`, `limiter 'api_call'`, `lock`, `task 'Task-7'`; None if it runs, or
            is about to.
        stands_at: The innermost line of the program in it; None if it has just ended.
        children: The tasks of the manager that it has made, oldest first.
    """

    name: str
    function: str
    part_of: str
    age: float
    created: CallSite
    parent: str | None
    waits_on: str | None
    stands_at: CallSite | None
    children: tuple[TaskNode, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines("", "", ""))

    def _lines(self, parent: str, first: str, others: str) -> Iterator[str]:
        yield first + " ".join(filter(None, (self._title(parent), self._waiting())))
        yield f"{others}{'|' if self.children else ' '}    made at {self.created}"
        for child in self.children:
            last = child is self.children[-1]
            yield from child._lines(self.name, f"{others}+-- ", others + ("    " if last else "|   "))

    def _title(self, shown_parent: str) -> str:
        part_of = f", {self.part_of}" if self.part_of else ""
        parent = f", started by {self.parent!r}" if self.parent and self.parent != shown_parent else ""
        return f"{self.name} ({self.function}{part_of}), {self.age:.3g} s old{parent}:"

    def _waiting(self) -> str:
        state = f"waits for {self.waits_on}" if self.waits_on else "runs"
        return f"{state} at {self.stands_at}" if self.stands_at else state


@dataclass(frozen=True, slots=True)
class TaskTree:
    """The tasks of a manager, under those that have made them; its text shows one line or two for each.

    Attributes:
        name: The manager's name.
        mode: The manager's mode; with `off` there is nothing to be seen.
        nodes: The tasks that none of the manager's has made, oldest first.
    """

    name: str
    mode: Mode
    nodes: tuple[TaskNode, ...]

    def __iter__(self) -> Iterator[TaskNode]:
        """Every node, each before its children."""
        waiting = list(reversed(self.nodes))
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __str__(self) -> str:
        return "\n".join([f"{self.name} ({self.mode}): {len(self)} running", *map(str, self.nodes)])


_MOST_NESTED: Final = 200  # deeper ones stand beside each other: neither text nor reader could follow


def plant(name: str, mode: Mode, running: dict[Task[Any], Job], now: float, here: Task[Any] | None) -> TaskTree:
    """Return the tree of some running tasks, of which one may be at work."""
    children: dict[Task[Any] | None, list[Task[Any]]] = {}
    for task, job in running.items():
        parent = None if job.parent is None else job.parent()
        children.setdefault(parent if parent in running and parent is not task else None, []).append(task)
    done: dict[Task[Any], TaskNode] = {}
    for task in reversed(_parents_first(children)):
        below = tuple(done[each] for each in children.get(task, ()))
        done[task] = _node(task, running[task], now, below, runs=task is here)
    return TaskTree(name, mode, tuple(done[each] for each in children.get(None, ())))


def _parents_first(children: dict[Task[Any] | None, list[Task[Any]]]) -> list[Task[Any]]:
    roots = children.setdefault(None, [])
    found: list[Task[Any]] = []
    level, depth = list(roots), 0
    while level:
        found.extend(level)
        depth += 1
        below = [child for task in level for child in children.get(task, ())]
        if depth % _MOST_NESTED == 0:
            for task in level:
                roots.extend(children.pop(task, ()))
        level = below
    return found


def _node(task: Task[Any], job: Job, now: float, children: tuple[TaskNode, ...], *, runs: bool) -> TaskNode:
    parent = None if job.parent is None else job.parent()
    return TaskNode(
        name=task.get_name(),
        function=coroutine_name(task),
        part_of=job.part_of,
        age=max(0.0, now - job.since),
        created=job.created,
        parent=None if parent is None else parent.get_name(),
        waits_on=None if runs else waits_on(task),
        stands_at=stands_at(task),
        children=children,
    )
