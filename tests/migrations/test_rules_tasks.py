"""Loops of tasks: which are made by penstock_limits.create_task instead, which after review, and which never."""

from __future__ import annotations

import textwrap

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.rewrite import rewrite
from penstock_migrations.rule import Fix, ReplaceCall, Severity

from tests.migrations.test_rules_shapes import findings

MADE = "ts = [asyncio.create_task(f(x)) for x in xs]\n"
AWAITED = "for t in ts:\n    await t"
ONE = "async def one(x):\n    await f(x)\n"

LIMITED = {
    "tasks as completed": MADE + "for t in asyncio.as_completed(ts):\n    await t",
    "made for as_completed": "for t in asyncio.as_completed([asyncio.create_task(f(x)) for x in xs]):\n    await t",
    "waited for": "ts = {asyncio.create_task(f(x)) for x in xs}\nawait asyncio.wait(ts)",
    "waited for by name": (
        "ts = set()\nfor x in xs:\n    t = asyncio.create_task(f(x))\n    ts.add(t)\n"
        "done, _ = await asyncio.wait(ts, return_when=asyncio.ALL_COMPLETED)\nreturn len(done)"
    ),
    "awaited one by one": MADE + AWAITED,
    "awaited in a comprehension": MADE + "return [await t for t in ts]",
    "awaited with their items": (
        "ts = {}\nfor x in xs:\n    ts[x] = asyncio.create_task(f(x))\nfor t in ts.values():\n    await t"
    ),
    "called back at the end": (
        "ts = []\nfor x in xs:\n    t = asyncio.create_task(f(x))\n    t.add_done_callback(print)\n"
        f"    ts.append(t)\n{AWAITED}"
    ),
    "named tasks": "ts = [asyncio.create_task(f(x), name=str(x)) for x in xs]\n" + AWAITED,
    "create_task by another name": "spawn = asyncio.create_task\nts = [spawn(f(x)) for x in xs]\n" + AWAITED,
    "awaited if there are any": MADE + "if ts:\n    await asyncio.wait(ts)",
    "waited for in groups": (
        "for _ in (1, 2):\n    ts = [asyncio.create_task(f(x)) for x in xs]\n    await asyncio.wait(ts)\n    await g()"
    ),
    "awaiting afterwards": MADE + "await asyncio.wait(ts)\nawait g()",
    "two kinds in one place": (
        "ts = [asyncio.create_task(f(x) if x % 2 else g(x)) for x in xs]\n"
        "for t in asyncio.as_completed(ts):\n    await t"
    ),
}
LEFT = {
    "left": f"{ONE}for x in xs:\n    asyncio.create_task(one(x))",
    "left by a comprehension": f"{ONE}[asyncio.create_task(one(x)) for x in xs]",
}
SAFE = LIMITED | LEFT


@pytest.mark.parametrize("name", SAFE)
def test_gives_create_task_a_limit(tmp_path, name):
    """Where nobody notices that tasks start later, they are made with the limit that the settings name."""
    (found,) = findings(tmp_path, SAFE[name], limit="provider")

    assert (found.code, found.severity, found.fix, found.fix_reason) == ("PEN102", Severity.HIGH, Fix.SAFE, None)
    (written,) = found.rewrites
    assert isinstance(written, ReplaceCall)
    assert (written.callee, written.keywords) == ("penstock_limits.create_task", (("limit", '"provider"'),))


@pytest.mark.parametrize("name", SAFE)
def test_does_not_report_what_it_wrote(tmp_path, name):
    """Tasks that a limit starts are limited, however they are waited for."""
    (found,) = findings(tmp_path, SAFE[name])
    file = tmp_path / "shape.py"
    file.write_bytes(rewrite(file.read_bytes(), [found]).source)

    assert not audit([tmp_path], Settings(select=("1",))).findings


def test_takes_tasks_with_a_limit_for_limited_also_where_they_are_gathered(tmp_path):
    """Under whatever name they are made."""
    body = "ts = [create_task(f(x), limit='api_call') for x in xs]\nawait asyncio.gather(*ts)"

    assert not findings(tmp_path, body, "import asyncio\nfrom penstock_limits import create_task")


REVIEWED = {
    "waited for again and again": (
        (
            "ts = {asyncio.create_task(f(x)) for x in xs}\n"
            "while ts:\n    done, ts = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)"
        ),
        "the first that end",
    ),
    "with a timeout": (MADE + "await asyncio.wait(ts, timeout=5)", "timeout"),
    "as completed in time": (MADE + "for t in asyncio.as_completed(ts, timeout=5):\n    await t", "timeout"),
    "awaited in time": (MADE + "for t in ts:\n    await asyncio.wait_for(t, 5)", "timeout"),
    "sharing a queue": (
        "q = asyncio.Queue(1)\nts = [asyncio.create_task(f(x, q)) for x in xs]\n" + AWAITED,
        "share a queue",
    ),
    "left, of unknown length": ("for x in xs:\n    asyncio.create_task(f(x))", "cannot be seen that they end"),
    "kept by the object": (
        "for x in xs:\n    t = asyncio.create_task(f(x))\n    self.ts.add(t)\n    t.add_done_callback(self.ts.discard)",
        "kept beyond",
    ),
    "kept by item": ("for x in xs:\n    x.task = asyncio.create_task(f(x))", "kept beyond"),
    "handed to a helper": ("done = await self.all_of([asyncio.create_task(f(x)) for x in xs])", "kept beyond"),
    "made in a block that waits at its end": (
        "async with self.client:\n    ts = [asyncio.create_task(f(x)) for x in xs]\n" + AWAITED,
        "something else",
    ),
    "made as items come": (
        "ts = []\nasync for x in self.pages():\n    ts.append(asyncio.create_task(f(x)))\nawait asyncio.wait(ts)",
        "something else",
    ),
    "handed to a function": ("for x in xs:\n    self.keep(asyncio.create_task(f(x)))", "kept beyond"),
    "returned": (MADE + "return ts", "used for more"),
    "cancelled": (MADE + "ts[0].cancel()\n" + AWAITED, "used for more"),
    "asked whether they are done": (MADE + "print([t.done() for t in ts])\n" + AWAITED, "used for more"),
    "sleeping in between": (MADE + "await asyncio.sleep(0)\nprint(self.started)\n" + AWAITED, "something else"),
    "sleeping in the loop": (
        f"ts = []\nfor x in xs:\n    ts.append(asyncio.create_task(f(x)))\n    await asyncio.sleep(0)\n{AWAITED}",
        "something else",
    ),
    "waiting under a lock": (MADE + "async with self.lock:\n    await asyncio.wait(ts)", "under a lock"),
    "draining a queue meanwhile": (f"{MADE}for x in xs:\n    await self.queue.get()\n{AWAITED}", "something else"),
    "beside other tasks": ("p = asyncio.create_task(g())\n" + MADE + AWAITED + "\nawait p", "other tasks"),
    "asking for the current task": (
        "async def one(x):\n    self.owner[x] = asyncio.current_task()\n    await f(x)\n"
        "ts = [asyncio.create_task(one(x)) for x in xs]\n" + AWAITED,
        "current task",
    ),
    "waiting for an event": (
        "ready = asyncio.Event()\nasync def one(x):\n    await ready.wait()\n"
        "ts = [asyncio.create_task(one(x)) for x in xs]\n" + AWAITED,
        "event",
    ),
    "waiting for a future": (
        "async def one(x):\n    await self.future\nts = [asyncio.create_task(one(x)) for x in xs]\n" + AWAITED,
        "others bring",
    ),
    "taking from a queue": (
        "async def one(x):\n    await f(await self.q.get())\nts = [asyncio.create_task(one(x)) for x in xs]\n"
        + AWAITED,
        "others bring",
    ),
}


@pytest.mark.parametrize("name", REVIEWED)
def test_leaves_to_review_who_may_notice(tmp_path, name):
    """What could expect that all tasks have started is rewritten only after review, and says what to look at."""
    source, reason = REVIEWED[name]
    (found,) = findings(tmp_path, source)

    assert (found.severity, found.fix) == (Severity.HIGH, Fix.REVIEW)
    assert found.rewrites
    assert reason in found.fix_reason


NEVER = {
    "coroutines as completed": ("for c in asyncio.as_completed([f(x) for x in xs]):\n    await c", "bounded_map"),
    "what callers hand in": ("for x in xs:\n    asyncio.create_task(x)", "which coroutine"),
    "futures": ("ts = [asyncio.ensure_future(f(x)) for x in xs]\n" + AWAITED, "takes futures"),
    "tasks of a loop": ("loop = asyncio.get_event_loop()\nfor x in xs:\n    loop.create_task(f(x))", "a loop makes"),
    "tasks of a group": (
        "async with asyncio.TaskGroup() as tg:\n    for x in xs:\n        tg.create_task(f(x))",
        "a task group makes",
    ),
    "begun eagerly": ("ts = [asyncio.create_task(f(x), eager_start=True) for x in xs]\n" + AWAITED, "arguments"),
    "more options": ("ts = [asyncio.create_task(f(x), **more) for x in xs]\n" + AWAITED, "arguments"),
    "endless": (
        "async def tick(x):\n    while True:\n        await f(x)\nfor x in xs:\n    asyncio.create_task(tick(x))",
        "may never end",
    ),
    "a barrier": (
        "barrier = asyncio.Barrier(n)\nasync def one(x):\n    await barrier.wait()\n"
        "ts = [asyncio.create_task(one(x)) for x in xs]\n" + AWAITED,
        "peers",
    ),
    "what arrives": ("while True:\n    asyncio.create_task(f(await self.inbox.get()))", "endless loop"),
    "given the others": (
        "ts = []\nfor x in xs:\n    ts.append(asyncio.create_task(f(x, ts)))\n" + AWAITED,
        "refers to the other tasks",
    ),
    "reading the others": (
        (
            "ts = {}\nasync def one(x):\n    await ts[x - 1]\n"
            "for x in xs:\n    ts[x] = asyncio.create_task(one(x))\nfor t in ts.values():\n    await t"
        ),
        "refers to the other tasks",
    ),
}


@pytest.mark.parametrize("name", NEVER)
def test_never_rewrites_what_others_must_decide(tmp_path, name):
    """Each has its own reason, which says what to do or why not."""
    source, reason = NEVER[name]
    (found,) = findings(tmp_path, source)

    assert (found.code, found.fix, found.rewrites) == ("PEN102", Fix.NONE, ())
    assert reason in found.fix_reason


def test_never_rewrites_tasks_that_wait_for_what_the_object_keeps(tmp_path):
    """A task that waits for a sibling which is not admitted would hold the place that the sibling needs."""
    source = """
        import asyncio

        class Graph:
            async def node(self, name):
                for before in self.needs[name]:
                    await self.tasks[before]

            async def run(self, names):
                for name in names:
                    self.tasks[name] = asyncio.create_task(self.node(name))
    """
    (tmp_path / "graph.py").write_text(textwrap.dedent(source))
    (found,) = audit([tmp_path], Settings(select=("1",))).findings

    assert found.fix is Fix.NONE
    assert "refers to the other tasks" in found.fix_reason


def test_never_rewrites_tasks_of_temporal_workflows(tmp_path):
    """In Temporal's sandbox only asyncio's own primitives are allowed."""
    (found,) = findings(tmp_path, MADE + AWAITED, "import asyncio\nfrom temporalio import workflow")

    assert found.fix is Fix.NONE
    assert "Temporal" in found.fix_reason
