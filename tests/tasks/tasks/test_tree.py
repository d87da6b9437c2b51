"""Who has started what, how old it is and what it waits for."""

from __future__ import annotations

import asyncio
import sys
from fractions import Fraction

from penstock_limits import Limiter, Mode
from penstock_limits.testing import run_in_virtual_time
from penstock_tasks import TaskManager, TaskNode

from tests.limits.gauge import settled


def named(tasks: TaskManager) -> dict[str, TaskNode]:
    return {node.name: node for node in tasks.tree()}


def test_it_shows_parents_ages_and_lines() -> None:
    """As data and as text; a task that is made by a stranger is a root."""

    async def child() -> None:
        await asyncio.sleep(100)

    async def parent() -> None:
        await asyncio.sleep(2)
        tasks.start_soon(child, name="child")
        await asyncio.Event().wait()

    async def main() -> None:
        line = sys._getframe().f_lineno + 1
        tasks.start_soon(parent, name="parent")
        await asyncio.sleep(5)
        tree = tasks.tree()

        assert (tree.name, tree.mode, len(tree), len(tree.nodes)) == ("jobs", Mode.ENFORCE, 2, 1)
        [root] = tree.nodes
        [below] = root.children
        assert (root.name, root.age, root.parent, root.waits_on) == ("parent", 5.0, stranger, "event")
        assert (below.name, below.age, below.parent, below.waits_on) == ("child", 3.0, "parent", "sleep of 100 s")
        assert (root.created.line, root.created.path) == (line, __file__)
        assert below.stands_at is not None
        assert below.stands_at.line == child.__code__.co_firstlineno + 1
        assert below.created.function.endswith("parent")
        text = str(tree)
        assert text.startswith("jobs (enforce): 2 running\nparent (test_it_shows")
        assert "3 s old: waits for sleep of 100 s at " in text
        assert text.splitlines()[3].startswith("+-- child (")

    async def run() -> None:
        global tasks, stranger
        async with TaskManager("jobs", drain_timeout=0, signals=()) as tasks:
            task = asyncio.current_task()
            assert task is not None
            stranger = task.get_name()
            await main()

    run_in_virtual_time(run)


tasks: TaskManager
stranger: str


async def test_it_tells_what_a_task_waits_for() -> None:
    """By its kind, and its name where it has one."""
    lock, semaphore, queue = asyncio.Lock(), asyncio.Semaphore(0), asyncio.Queue()
    limiter, future, condition = Limiter("api", max_running=0), asyncio.get_running_loop().create_future(), None
    condition = asyncio.Condition()
    await lock.acquire()

    async def hold(thing) -> None:
        async with thing:
            pass

    async def wait_for(thing) -> None:
        await thing

    async def notified() -> None:
        async with condition:
            await condition.wait()

    async def timed() -> None:
        async with asyncio.timeout(100):
            await queue.get()

    async with TaskManager(drain_timeout=0) as manager:
        manager.start_soon(hold, lock, name="lock")
        manager.start_soon(hold, semaphore, name="semaphore")
        manager.start_soon(hold, limiter, name="limiter")
        manager.start_soon(asyncio.sleep, 0, name="limited", limit=limiter)
        manager.start_soon(timed, name="queue")
        manager.start_soon(notified, name="condition")
        manager.start_soon(wait_for, future, name="future")
        other = manager.create_task(asyncio.Event().wait(), name="event")
        manager.start_soon(wait_for, other, name="task")
        manager.start_soon(wait_for, asyncio.gather(other, other), name="gather")
        manager.start_soon(wait_for, asyncio.wait([other]), name="wait")
        manager.start_soon(wait_for, asyncio.sleep(50), name="sleep")
        manager.create_task(_busy(), name="runs")
        await settled_but_busy()
        waits = {name: node.waits_on for name, node in named(manager).items()}
        assert named(manager)["lock"].stands_at.line == hold.__code__.co_firstlineno + 1

    assert waits == {
        "lock": "lock",
        "semaphore": "semaphore",
        "limiter": "limiter 'api'",
        "limited": "limiter 'api'",
        "queue": "to get from queue",
        "condition": "condition",
        "future": "future",
        "event": "event",
        "task": "task 'event'",
        "gather": "gather of 2",
        "wait": "wait of 1",
        "sleep": "sleep of 50 s",
        "runs": None,
    }


async def _busy() -> None:
    while True:
        await asyncio.sleep(0)


async def settled_but_busy() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_task_sees_itself_run() -> None:
    """And where it stands."""

    async def look() -> TaskNode:
        [node] = manager.tree()
        return node

    async with TaskManager() as manager:
        node = await manager.start_soon(look)

    assert node.waits_on is None
    assert node.stands_at is not None
    assert node.stands_at.function.endswith("look")


async def test_what_a_gone_task_has_started_stands_alone() -> None:
    """Its parent's name is shown for as long as that is there."""

    async def orphan() -> None:
        await asyncio.Event().wait()

    async def parent() -> None:
        manager.start_soon(orphan, name="orphan")

    async with TaskManager(drain_timeout=0) as manager:
        await manager.start_soon(parent, name="parent")
        await settled()
        manager.statistics()

        [node] = manager.tree().nodes
        assert (node.name, node.parent) == ("orphan", None)
        assert node.created.function.endswith("parent")


async def test_scopes_services_and_periodic_jobs_are_told() -> None:
    """By what a task is part of."""
    async with TaskManager(drain_timeout=0) as manager:
        manager.service(asyncio.Event().wait, name="service")
        manager.every(1000, asyncio.Event().wait, name="periodic")
        async with manager.scope("ingest") as scope:
            scope.create_task(asyncio.Event().wait(), name="scoped")
            await asyncio.sleep(0.01)
            parts = {name: node.part_of for name, node in named(manager).items()}
            text = str(manager.tree())
            scope.cancel()

    assert parts == {"service": "service", "periodic": "periodic job", "scoped": "scope 'ingest'"}
    assert "scoped (Event.wait, scope 'ingest'), " in text


async def test_a_chain_of_a_thousand_is_shown() -> None:
    """Cut into pieces that a text can show."""
    started = asyncio.Event()

    async def link(number: int) -> None:
        if number:
            manager.start_soon(link, number - 1)
        else:
            started.set()
        await asyncio.Event().wait()

    async with TaskManager(drain_timeout=0) as manager:
        manager.start_soon(link, 1000)
        await started.wait()
        tree = manager.tree()

    assert len(tree) == 1001
    assert str(tree).count("link") >= 1001


async def test_it_can_be_seen_from_another_thread() -> None:
    """And when its loop does not run any more."""
    async with TaskManager(drain_timeout=0) as tasks:
        tasks.start_soon(asyncio.sleep, 3600, name="rests")
        await settled()
        assert "rests" in str(await asyncio.to_thread(tasks.tree))
    assert len(await asyncio.to_thread(tasks.tree)) == 0


async def test_a_sleep_of_any_kind_of_number_is_shown() -> None:
    """A fraction of a second knows no format of floats on Python 3.11."""
    async with TaskManager(drain_timeout=0) as tasks:
        tasks.start_soon(asyncio.sleep, Fraction(7200, 2), name="rests")
        await settled()
        assert named(tasks)["rests"].waits_on == "sleep of 3600 s"


async def test_a_service_is_shown_by_its_function() -> None:
    """Not by that of ours which calls it; and a time is not shown to the nanosecond."""

    async def rest() -> None:
        await asyncio.sleep(70.123456)

    async with TaskManager(drain_timeout=0) as manager:
        manager.service(rest, name="rest")
        await settled_but_busy()
        node = named(manager)["rest"]

    assert node.function.endswith("<locals>.rest")
    assert node.waits_on == "sleep of 70.123 s"
