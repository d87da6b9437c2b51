"""The shapes that real code has: found, left alone, rewritten or not, each for its own reason."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Fix, ReplaceCall, Severity, UnwrapCall


def findings(folder: Path, body: str, head: str = "import asyncio", **options: str):
    """Audit the body of `async def run(self, xs, n, **more)`, a method, with some helpers around."""
    inner = textwrap.indent(textwrap.dedent(body), " " * 8)
    source = f"{head}\n\nclass A:\n    async def run(self, xs, n, **more):\n{inner}\n"
    (folder / "shape.py").write_text(source, encoding="utf-8")
    return audit([folder], Settings(select=("1",), **options)).findings


REWRITTEN = {
    "a list comprehension in place": "await asyncio.gather(*[f(x) for x in xs])",
    "a generator in place": "await asyncio.gather(*(f(x) for x in xs))",
    "a list, reversed": "await asyncio.gather(*reversed([f(x) for x in xs]))",
    "map": "await asyncio.gather(*map(f, xs))",
    "a name": "calls = [f(x) for x in xs]\nawait asyncio.gather(*calls)",
    "an annotated name": "calls: list = [f(x) for x in xs]\nawait asyncio.gather(*calls)",
    "a name given another name": "a = [f(x) for x in xs]\nb = a\nawait asyncio.gather(*b)",
    "append": "calls = []\nfor x in xs:\n    calls.append(f(x))\nawait asyncio.gather(*calls)",
    "append of a name": (
        "calls = []\nfor x in xs:\n    call = f(x)\n    calls.append(call)\nawait asyncio.gather(*calls)"
    ),
    "append in a while loop": "calls = []\nwhile xs:\n    calls.append(f(xs.pop()))\nawait asyncio.gather(*calls)",
    "extend": "calls = [f(a) for a in self.as_]\ncalls.extend(f(x) for x in xs)\nawait asyncio.gather(*calls)",
    "adding up": "calls = []\ncalls += [f(x) for x in xs]\nawait asyncio.gather(*calls)",
    "two lists": "await asyncio.gather(*([f(0)] + [f(x) for x in xs]))",
    "an unpacked list": "await asyncio.gather(*[f(0), *(f(x) for x in xs)])",
    "values of a dict": "calls = {}\nfor x in xs:\n    calls[x] = f(x)\nawait asyncio.gather(*calls.values())",
    "values of a dict comprehension": "await asyncio.gather(*{x: f(x) for x in xs}.values())",
    "filter": "await asyncio.gather(*filter(None, [f(x) for x in xs]))",
    "an unknown order": "await asyncio.gather(*shuffled([f(x) for x in xs]))",
    "a chain": "import itertools\nawait asyncio.gather(*itertools.chain([f(0)], (f(x) for x in xs)))",
    "in both arms": "calls = [f(x) for x in xs] if n else [f(x, 1) for x in xs]\nawait asyncio.gather(*calls)",
    "a nested loop": "await asyncio.gather(*[f(x, y) for x in (1, 2) for y in xs])",
    "a number from outside": "await asyncio.gather(*[f(i) for i in range(n)])",
    "a count of data": "await asyncio.gather(*[f(i) for i in range(len(xs))])",
    "what an await returned": "found = await search()\nawait asyncio.gather(*[f(x) for x in found])",
    "what is read from a response": "await asyncio.gather(*[f(x) for x in more['response'].content])",
    "a slice from the start on": "await asyncio.gather(*[f(x) for x in xs[1:]])",
    "all but the last": "await asyncio.gather(*[f(x) for x in xs[:-1]])",
    "unpacked results": "one, two = await asyncio.gather(*[f(x) for x in xs])",
    "a timeout around": "await asyncio.wait_for(asyncio.gather(*[f(x) for x in xs]), 5)",
    "a timeout around each": "await asyncio.gather(*[asyncio.wait_for(f(x), 5) for x in xs])",
    "a shield around": "await asyncio.shield(asyncio.gather(*[f(x) for x in xs]))",
    "not awaited at once": "future = asyncio.gather(*[f(x) for x in xs])\nawait future",
    "in a comprehension": "done = [r for r in await asyncio.gather(*[f(x) for x in xs])]",
    "data that the object holds": "await asyncio.gather(*[f(url) for url in self.urls])",
    "what the method has put there": "self.parts = await split(n)\nawait asyncio.gather(*[f(x) for x in self.parts])",
    "items that sound like a limit": "await asyncio.gather(*[f(slot, capacity=n) for slot in xs])",
    "gather by another name": "together = asyncio.gather\nawait together(*[f(x) for x in xs])",
    "tasks in a comprehension": "await asyncio.gather(*[asyncio.create_task(f(x)) for x in xs])",
    "futures in a comprehension": "await asyncio.gather(*[asyncio.ensure_future(f(x)) for x in xs])",
    "tasks of the loop": (
        "loop = asyncio.get_running_loop()\nawait asyncio.gather(*[loop.create_task(f(x)) for x in xs])"
    ),
    "tasks with their items": (
        "ts = [(x, asyncio.create_task(f(x))) for x in xs]\nawait asyncio.gather(*[t for _, t in ts])"
    ),
    "cut after it was made": "await asyncio.gather(*[f(x) for x in xs])\nxs = xs[:3]",
    "a semaphore made for each": (
        "async def one(x):\n    sem = asyncio.Semaphore(3)\n    async with sem:\n        await f(x)\n"
        "await asyncio.gather(*[one(x) for x in xs])"
    ),
    "a semaphore made for each, handed over": "await asyncio.gather(*[f(x, asyncio.Semaphore(3)) for x in xs])",
    "a semaphore made in each turn": (
        "calls = []\nfor x in xs:\n    sem = asyncio.Semaphore(1)\n    calls.append(f(x, sem))\n"
        "await asyncio.gather(*calls)"
    ),
    "a client that takes all": (
        "async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:\n"
        "    await asyncio.gather(*[session.get(x) for x in xs])"
    ),
}

REPORTED = {
    "gather in gather": "await asyncio.gather(*(asyncio.gather(f(x), g(x)) for x in xs))",
    "a coroutine with a name made a task": (
        "ts = []\nfor x in xs:\n    c = f(x)\n    ts.append(asyncio.create_task(c))\nawait asyncio.gather(*ts)"
    ),
    "tasks of a group": "async with asyncio.TaskGroup() as tg:\n    for x in xs:\n        tg.create_task(f(x))",
    "tasks of a group in a comprehension": (
        "async with asyncio.TaskGroup() as tg:\n    ts = [tg.create_task(f(x)) for x in xs]"
    ),
    "a nursery": "async with anyio.create_task_group() as crew:\n    for x in xs:\n        crew.start_soon(f, x)",
    "as completed": "for c in asyncio.as_completed([f(x) for x in xs]):\n    await c",
    "a progress bar": "from tqdm.asyncio import tqdm\nawait tqdm.gather(*[f(x) for x in xs])",
}

FOUND = REWRITTEN | REPORTED


@pytest.mark.parametrize("name", FOUND)
def test_finds(tmp_path, name):
    """The shape is one finding, and no advice; what is in REPORTED has no rewrite."""
    (found,) = findings(tmp_path, FOUND[name], "import asyncio\nimport anyio")

    assert found.severity is Severity.HIGH
    assert found.fix is (Fix.SAFE if name in REWRITTEN else Fix.NONE)


LEFT_ALONE = {
    "two calls": "await asyncio.gather(f(1), g(2))",
    "a tuple of calls": "calls = (f(1), f(2))\nawait asyncio.gather(*calls)",
    "calls appended one by one": "calls = [f(1)]\nif n:\n    calls.append(g())\nawait asyncio.gather(*calls)",
    "a constant range": "await asyncio.gather(*[f(i) for i in range(3)])",
    "a literal": "await asyncio.gather(*[f(x) for x in ('a', 'b')])",
    "a constant of another module": "await asyncio.gather(*[f(x) for x in settings.REGIONS])",
    "one of a pair of lists is short": "await asyncio.gather(*[f(x, y) for x, y in zip(xs, 'ab')])",
    "a slice": "await asyncio.gather(*[f(x) for x in xs[:n]])",
    "a slice that got the name": "xs = xs[:10]\nawait asyncio.gather(*[f(x) for x in xs])",
    "a slice of the calls": "calls = [f(x) for x in xs]\nawait asyncio.gather(*calls[:3])",
    "a part": "import itertools\nawait asyncio.gather(*[f(x) for x in itertools.islice(xs, 5)])",
    "too many are refused": "if len(xs) > 20:\n    raise ValueError\nawait asyncio.gather(*[f(x) for x in xs])",
    "chunks": "for i in range(0, len(xs), 8):\n    await asyncio.gather(*[f(x) for x in xs[i : i + 8]])",
    "batches": "for batch in batched(xs, 8):\n    await asyncio.gather(*[f(x) for x in batch])",
    "chunks by name": "for chunk in self.chunks_of(xs):\n    await asyncio.gather(*map(f, chunk))",
    "workers": "await asyncio.gather(*[work(i) for i in range(self.max_workers)])",
    "workers by concurrency": (
        "ts = [asyncio.create_task(g()) for _ in range(more['concurrency'])]\nawait asyncio.gather(*ts)"
    ),
    "at most so many": "await asyncio.gather(*[f(i) for i in range(min(8, n))])",
    "a semaphore around each": (
        "sem = asyncio.Semaphore(3)\nasync def one(x):\n    async with sem:\n        await f(x)\n"
        "await asyncio.gather(*[one(x) for x in xs])"
    ),
    "a semaphore assigned later": (
        "async def one(x):\n    async with gate:\n        await f(x)\n"
        "gate = asyncio.Semaphore(3)\nawait asyncio.gather(*[one(x) for x in xs])"
    ),
    "a semaphore acquired": (
        "gate = asyncio.Semaphore(3)\nasync def one(x):\n    await gate.acquire()\n    await f(x)\n    gate.release()\n"
        "await asyncio.gather(*[one(x) for x in xs])"
    ),
    "a semaphore handed over": "await asyncio.gather(*[f(x, sem=self.sem) for x in xs])",
    "a semaphore for each group": (
        "for group in xs:\n    sem = asyncio.Semaphore(3)\n    await asyncio.gather(*[f(x, sem) for x in group])"
    ),
    "a client with a limit of its connections": (
        "async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8)) as session:\n"
        "    await asyncio.gather(*[session.get(x) for x in xs])"
    ),
    "a limited client, handed over": (
        "http = httpx.AsyncClient(limits=httpx.Limits(max_connections=8))\n"
        "await asyncio.gather(*[f(x, client=http) for x in xs])"
    ),
    "a limiter around each": "await asyncio.gather(*[self.limiter.run(f(x)) for x in xs])",
    "a function that says so": "await asyncio.gather(*[with_semaphore(f(x), 3) for x in xs])",
    "penstock": "import penstock_limits\nawait penstock_limits.gather(*[f(x) for x in xs], limit=3)",
    "its own helper of that name": "from app.tools import gather\nawait gather(*[f(x) for x in xs])",
    "cancelled before": "for t in xs:\n    t.cancel()\nawait asyncio.gather(*xs)",
    "cancelled in a comprehension": "[t.cancel() for t in xs]\nawait asyncio.gather(*xs)",
    "what runs anyway": "await asyncio.gather(*asyncio.all_tasks())",
    "what was started elsewhere": "await asyncio.gather(*self.tasks)",
    "an executor's work": (
        "loop = asyncio.get_running_loop()\nawait asyncio.gather(*[loop.run_in_executor(None, f, x) for x in xs])"
    ),
    "futures of threads": "await asyncio.gather(*[asyncio.wrap_future(x) for x in xs])",
    "the agents": "await asyncio.gather(*[agent.step() for agent in self.agents])",
    "the handlers of an event": "await asyncio.gather(*[h(n) for h in self.handlers.get(n, [])])",
    "the configured": "await asyncio.gather(*[f(x) for x in self.config.models])",
    "awaited in its turn": "for x in xs:\n    await asyncio.create_task(f(x))",
    "awaited in its turn by name": "for x in xs:\n    t = asyncio.create_task(f(x))\n    await asyncio.wait_for(t, 3)",
    "awaited in its turn through a call": "for x in xs:\n    await self.link(asyncio.ensure_future(f(x)))",
    "the last turn": "for x in xs:\n    if x:\n        t = asyncio.create_task(f(x))\n        break",
    "one that is replaced": "while True:\n    self.task = asyncio.create_task(f(1))\n    await self.stopped.wait()",
    "one for each that ended": (
        "ts = {asyncio.create_task(f(i)) for i in range(3)}\nwhile ts:\n"
        "    done, ts = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)\n"
        "    for t in done:\n        ts.add(asyncio.create_task(f(t.result())))"
    ),
    "filling up": (
        "ts = set()\nwhile xs:\n    while xs and len(ts) < n:\n        ts.add(asyncio.create_task(f(xs.pop())))\n"
        "    done, ts = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)"
    ),
    "a group in each turn": "for x in xs:\n    async with asyncio.TaskGroup() as tg:\n        tg.create_task(f(x))",
    "the first to succeed": (
        "for c in asyncio.as_completed([f(x) for x in xs]):\n    try:\n        return await c\n"
        "    except OSError:\n        pass"
    ),
    "no gather of asyncio": "await self.gather(*[f(x) for x in xs])",
    "a task of something else": "for x in xs:\n    self.board.create_task(x)",
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_leaves_alone(tmp_path, name):
    """The shape is no finding."""
    assert not findings(tmp_path, LEFT_ALONE[name])


ENDLESS = {
    "a listener by name": "await asyncio.gather(*[x.listen() for x in xs])",
    "workers on a queue": (
        "async def work(q, x):\n    while True:\n        await f(await q.get())\n"
        "await asyncio.gather(*[work(self.q, x) for x in xs])"
    ),
    "an endless loop": (
        "async def tick(x):\n    while True:\n        await f(x)\nawait asyncio.gather(*[tick(x) for x in xs])"
    ),
    "a barrier": (
        "barrier = asyncio.Barrier(n)\nasync def meet(x):\n    await barrier.wait()\n"
        "await asyncio.gather(*[meet(x) for x in xs])"
    ),
    "a barrier, entered": (
        "barrier = asyncio.Barrier(n)\nasync def meet(x):\n    async with barrier:\n        await f(x)\n"
        "await asyncio.gather(*[meet(x) for x in xs])"
    ),
    "a barrier in a helper": (
        "barrier = asyncio.Barrier(n)\nasync def meet():\n    await barrier.wait()\n"
        "async def one(x):\n    await asyncio.gather(f(x), meet())\nawait asyncio.gather(*[one(x) for x in xs])"
    ),
    "a barrier behind a shield": (
        "barrier = asyncio.Barrier(n)\nasync def meet(x):\n    await asyncio.shield(barrier.wait())\n"
        "await asyncio.gather(*[meet(x) for x in xs])"
    ),
    "a barrier in a task": (
        "barrier = asyncio.Barrier(n)\nasync def meet(x):\n    t = asyncio.create_task(barrier.wait())\n    await t\n"
        "await asyncio.gather(*[meet(x) for x in xs])"
    ),
    "a condition with a predicate": (
        "async def meet(x):\n    async with self.condition:\n"
        "        await self.condition.wait_for(lambda: self.ready)\n"
        "await asyncio.gather(*[meet(x) for x in xs])"
    ),
    "a server": (
        "async def serve_on(x):\n    server = await asyncio.start_server(f, port=x)\n    await server.serve_forever()\n"
        "await asyncio.gather(*[serve_on(x) for x in xs])"
    ),
    "an endless generator": (
        "async def ticks():\n    while True:\n        await asyncio.sleep(1)\n        yield\n"
        "async def one(x):\n    async for _ in ticks():\n        await f(x)\n"
        "await asyncio.gather(*[one(x) for x in xs])"
    ),
    "waiting for queues": "await asyncio.gather(*[q.join() for q in xs])",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_never_rewrites_what_may_not_end(tmp_path, name):
    """Work that may never end, or needs its peers, is advice without a rewrite."""
    (found,) = findings(tmp_path, ENDLESS[name])

    assert (found.severity, found.fix, found.rewrites) == (Severity.LOW, Fix.NONE, ())
    assert "may never end" in found.fix_reason


NOT_REWRITTEN = {
    "used besides": "ts = [asyncio.create_task(f(x)) for x in xs]\nself.ts = ts\nawait asyncio.gather(*ts)",
    "called back": (
        "ts = []\nfor x in xs:\n    t = asyncio.create_task(f(x))\n    t.add_done_callback(g)\n"
        "    ts.append(t)\nawait asyncio.gather(*ts)"
    ),
    "awaits in between": "ts = [asyncio.create_task(f(x)) for x in xs]\nawait g()\nawait asyncio.gather(*ts)",
    "awaits in the loop": (
        "ts = []\nfor x in xs:\n    ts.append(asyncio.create_task(f(x)))\n    await g()\nawait asyncio.gather(*ts)"
    ),
    "named": "await asyncio.gather(*[asyncio.create_task(f(x), name=str(x)) for x in xs])",
    "in a context": "await asyncio.gather(*[asyncio.create_task(f(x), context=n) for x in xs])",
    "run": "await asyncio.gather(*[asyncio.shield(f(x)) for x in xs])",
    "wrapped, and used": "ts = [asyncio.create_task(f(x)) for x in xs]\nprint(ts)\nawait asyncio.gather(*ts)",
    "kept by the object": "self.ts = [asyncio.create_task(f(x)) for x in xs]\nawait asyncio.gather(*self.ts)",
    "read by a function inside": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\ndef stop():\n    return [t.cancel() for t in ts]\n"
        "self.on_stop(stop)\nawait asyncio.gather(*ts)"
    ),
    "entered in between": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nasync with self.lock:\n    await asyncio.gather(*ts)"
    ),
    "gathered in some cases": "ts = [asyncio.create_task(f(x)) for x in xs]\nif n:\n    await asyncio.gather(*ts)",
    "gathered or not": "ts = [asyncio.create_task(f(x)) for x in xs]\nn and await asyncio.gather(*ts)",
    "gathered again and again": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nfor _ in range(3):\n    await asyncio.gather(*ts)"
    ),
    "left in between": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nif n:\n    return None\nawait asyncio.gather(*ts)"
    ),
    "a dict, in which equal keys meet": (
        "ts = {}\nfor x in xs:\n    ts[x] = asyncio.create_task(f(x))\nawait asyncio.gather(*ts.values())"
    ),
    "a dict comprehension": "await asyncio.gather(*{x: asyncio.create_task(f(x)) for x in xs}.values())",
    "piled up over the batches": (
        "ts = []\nfor some in xs:\n    for x in some:\n        ts.append(asyncio.create_task(f(x)))\n"
        "    await asyncio.gather(*ts)"
    ),
    "made anew in an inner loop": (
        "for some in xs:\n    ts = []\n    for x in some:\n        ts.append(asyncio.create_task(f(x)))\n"
        "await asyncio.gather(*ts)"
    ),
    "remade in a loop": (
        "for some in xs:\n    ts = [asyncio.create_task(f(x)) for x in some]\nawait asyncio.gather(*ts)"
    ),
    "cut": "ts = [asyncio.create_task(f(x)) for x in xs]\nts = ts[1:]\nawait asyncio.gather(*ts)",
    "replaced": "ts = [asyncio.create_task(f(x)) for x in xs]\nif n:\n    ts = []\nawait asyncio.gather(*ts)",
    "replaced in some cases": (
        "if n:\n    ts = [asyncio.create_task(f(x)) for x in xs]\nif not n:\n    ts = []\nawait asyncio.gather(*ts)"
    ),
    "filtered by what they are": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nts = [t for t in ts if watch(t)]\nawait asyncio.gather(*ts)"
    ),
    "filtered in the gather": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nawait asyncio.gather(*[t for t in ts if not t.done()])"
    ),
    "deleted": "ts = [asyncio.create_task(f(x)) for x in xs]\ndel ts[0]\nawait asyncio.gather(*ts)",
    "the other way round": ("ts = [asyncio.create_task(f(x)) for x in xs]\nawait asyncio.gather(*reversed(ts))"),
    "put into what the object holds": (
        "ts = self.ts\nfor x in xs:\n    ts.append(asyncio.create_task(f(x)))\nawait asyncio.gather(*ts)"
    ),
    "put away only sometimes": (
        "ts = []\nfor x in xs:\n    t = asyncio.create_task(f(x))\n    if x:\n        ts.append(t)\n"
        "await asyncio.gather(*ts)"
    ),
    "a context variable set through a function": (
        "ts = []\nfor x in xs:\n    bind(x)\n    ts.append(asyncio.create_task(f(x)))\nawait asyncio.gather(*ts)"
    ),
    "a context variable set in an argument": (
        "ts = []\nfor x in xs:\n    ts.append(asyncio.create_task(f(CURRENT.set(x))))\nawait asyncio.gather(*ts)"
    ),
    "a context variable set by a helper": (
        "def named(x):\n    CURRENT.set(x)\n    return x\n"
        "ts = [asyncio.create_task(f(named(x))) for x in xs]\nawait asyncio.gather(*ts)"
    ),
    "a set, which is gathered in another order": (
        "ts = set()\nfor x in xs:\n    ts.add(asyncio.create_task(f(x)))\nawait asyncio.gather(*ts)"
    ),
    "a list that has another name": (
        "self.ts = ts = []\nfor x in xs:\n    ts.append(asyncio.create_task(f(x)))\nawait asyncio.gather(*ts)"
    ),
    "coroutines among the tasks": (
        "ts = []\nfor x in xs:\n    if n:\n        ts.append(f(x))\n    else:\n"
        "        ts.append(asyncio.create_task(f(x)))\nawait asyncio.gather(*ts)"
    ),
    "coroutines or tasks": "await asyncio.gather(*[f(x) if n else asyncio.create_task(f(x)) for x in xs])",
    "tasks in another order": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nus = [asyncio.create_task(f(x)) for x in xs]\n"
        "await asyncio.gather(*(us + ts))"
    ),
    "another gather made after them": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\np = asyncio.gather(g(), g())\nawait asyncio.gather(*ts)\nawait p"
    ),
    "a context left on the way": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nself.context.pop()\nawait asyncio.gather(*ts)"
    ),
    "a context entered on the way": (
        "ts = []\nfor x in xs:\n    stack.enter_context(span(x))\n    ts.append(asyncio.create_task(f(x)))\n"
        "await asyncio.gather(*ts)"
    ),
    "a context around the gather only": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nwith span('wait'):\n    await asyncio.gather(*ts)"
    ),
    "a context around the making only": (
        "ts = []\nfor x in xs:\n    with span(x):\n        ts.append(asyncio.create_task(f(x)))\n"
        "await asyncio.gather(*ts)"
    ),
    "another task made after them": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nt = asyncio.create_task(g())\nawait asyncio.gather(*ts)\nawait t"
    ),
    "gathered once for each": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nreturn [await asyncio.gather(*ts) for _ in range(2)]"
    ),
    "given up in an outer loop": (
        "for some in xs:\n    ts = [asyncio.create_task(f(x)) for x in some]\n    if n:\n        break\n"
        "    await asyncio.gather(*ts)"
    ),
    "gathered after a failure": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\ntry:\n    g()\nexcept OSError:\n    await asyncio.gather(*ts)"
    ),
}


MOVED = {
    "a list": "ts = [asyncio.create_task(f(x)) for x in xs]\nawait asyncio.gather(*ts)",
    "in place": "await asyncio.gather(*(asyncio.ensure_future(f(x)) for x in xs))",
    "if there are any": "ts = [asyncio.create_task(f(x)) for x in xs]\nif ts:\n    await asyncio.gather(*ts)",
    "unless there are none": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\nif not ts:\n    return None\nawait asyncio.gather(*ts)"
    ),
    "counted": "ts = [asyncio.create_task(f(x)) for x in xs]\nprint(len(ts))\nawait asyncio.gather(*ts)",
    "tried": (
        "ts = [asyncio.create_task(f(x)) for x in xs]\ntry:\n    await asyncio.gather(*ts)\nexcept OSError:\n    pass"
    ),
    "for a list": "ts = [asyncio.create_task(f(x)) for x in xs]\nreturn [r for r in await asyncio.gather(*ts)]",
    "in time": "ts = [asyncio.create_task(f(x)) for x in xs]\nawait asyncio.wait_for(asyncio.gather(*ts), 5)",
    "returned": "ts = [asyncio.create_task(f(x)) for x in xs]\nreturn await asyncio.gather(*ts)",
    "put away by name": (
        "ts = []\nfor x in xs:\n    t = asyncio.create_task(f(x))\n    ts.append(t)\nawait asyncio.gather(*ts)"
    ),
    "some left out": (
        "ts = []\nfor x in set(xs):\n    if not x:\n        continue\n    ts.append(asyncio.create_task(f(x)))\n"
        "print(n)\nawait asyncio.gather(*ts)"
    ),
    "in a branch": (
        "if n:\n    ts = []\n    for x in xs:\n        ts.append(asyncio.create_task(f(x)))\nelse:\n"
        "    ts = [asyncio.create_task(f(x, 1)) for x in xs]\nawait asyncio.gather(*ts)"
    ),
    "in a context around all": (
        "with span('all'):\n    ts = [asyncio.create_task(f(x)) for x in xs]\n    await asyncio.gather(*ts)"
    ),
    "for each of some groups anew": (
        "for some in (xs, xs):\n    ts = []\n    for x in some:\n        ts.append(asyncio.create_task(f(x)))\n"
        "    await asyncio.gather(*ts)"
    ),
    "iterated over": "ts = [asyncio.create_task(f(x)) for x in xs]\nfor r in await asyncio.gather(*ts):\n    print(r)",
    "each in a turn of its own": (
        "for some in (xs, xs):\n    ts = [asyncio.create_task(f(x)) for x in some]\n    await asyncio.gather(*ts)"
    ),
}


@pytest.mark.parametrize("name", MOVED)
def test_leaves_the_start_of_tasks_to_gather(tmp_path, name):
    """Tasks that are only gathered, and always, become coroutines: nobody can notice that they start later."""
    (found,) = findings(tmp_path, MOVED[name])

    assert found.fix is Fix.SAFE
    assert list(dict.fromkeys(map(type, found.rewrites))) == [UnwrapCall, ReplaceCall]


@pytest.mark.parametrize("name", NOT_REWRITTEN)
def test_does_not_rewrite_tasks_that_run_already(tmp_path, name):
    """A limit at gather would do nothing, and starting them later would change what happens before."""
    (found,) = findings(tmp_path, NOT_REWRITTEN[name])

    assert (found.fix, found.rewrites) == (Fix.NONE, ())
    assert found.fix_reason


def test_moves_the_start_of_tasks_to_gather(tmp_path):
    """Tasks that are only gathered become coroutines, and gather starts them."""
    body = "ts = []\nfor x in xs:\n    ts.append(asyncio.create_task(f(x)))\nawait asyncio.gather(*ts)"
    (found,) = findings(tmp_path, body)

    assert found.fix is Fix.SAFE
    assert [type(one) for one in found.rewrites] == [UnwrapCall, ReplaceCall]


def test_writes_the_limit_that_the_settings_name(tmp_path):
    """The name of the limit comes from the settings."""
    findings(tmp_path, "await asyncio.gather(*[f(x) for x in xs])")
    (found,) = audit([tmp_path], Settings(select=("1",), limit="provider")).findings

    assert found.rewrites[0].keywords == (("limit", '"provider"'),)


REVIEWED = {
    "tasks, and a call that nobody sees through": (
        (
            "from app import start_span\n\nasync def run(xs):\n    ts = []\n    for x in xs:\n"
            "        span = start_span(x)\n        ts.append(asyncio.create_task(f(x, span)))\n"
            "    await asyncio.gather(*ts)\n"
        ),
        Severity.HIGH,
    ),
    "what callers hand in": ("async def all_of(*coros):\n    return await asyncio.gather(*coros)\n", Severity.MEDIUM),
    "annotated tasks": (
        (
            "async def run(xs):\n    ts: list[asyncio.Task] = []\n    for x in xs:\n"
            "        ts.append(asyncio.create_task(f(x)))\n    await asyncio.gather(*ts)\n"
        ),
        Severity.HIGH,
    ),
    "work that waits for an event": (
        (
            "ready = asyncio.Event()\n\nasync def one(x):\n    await ready.wait()\n    await f(x)\n\n"
            "async def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that runs until it is told to stop": (
        (
            "async def one(x, stop):\n    while not stop.is_set():\n        await f(x)\n\n"
            "async def run(xs, stop):\n    await asyncio.gather(*[one(x, stop) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that runs as long as a flag says": (
        (
            "class A:\n    async def one(self, x):\n        while self.running:\n            await f(x)\n\n"
            "    async def run(self, xs):\n        await asyncio.gather(*[self.one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that leaves when a flag says so": (
        (
            "async def one(x, stop):\n    while True:\n        if stop.is_set():\n            break\n"
            "        await f(x)\n\n"
            "async def run(xs, stop):\n    await asyncio.gather(*[one(x, stop) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that asks from time to time": (
        (
            "async def one(x):\n    while True:\n        if x.all_here():\n            break\n"
            "        await asyncio.sleep(1)\n\n"
            "async def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that waits for a batch": (
        (
            "async def one(x):\n    answer = asyncio.get_running_loop().create_future()\n    WAITING.append(answer)\n"
            "    return await answer\n\nasync def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that waits for an event for some time": (
        (
            "ready = asyncio.Event()\n\nasync def one(x):\n    await asyncio.wait_for(ready.wait(), 5)\n\n"
            "async def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work of an object made for it": (
        (
            "class Job:\n    async def run(self):\n        await self.ready.wait_for_all()\n        await self.done\n\n"
            "async def run(xs):\n    await asyncio.gather(*[Job().run() for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "work that takes a lock by hand": (
        (
            "async def one(x):\n    await x.lock.acquire()\n    await f(x)\n\n"
            "async def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "under a lock": (
        "async def run(lock, xs):\n    async with lock:\n        await asyncio.gather(*[f(x) for x in xs])\n",
        Severity.HIGH,
    ),
    "called under a lock": (
        (
            "class A:\n    async def all_of(self, xs):\n        await asyncio.gather(*[f(x) for x in xs])\n\n"
            "    async def run(self, xs):\n        async with self.lock:\n            await self.all_of(xs)\n"
        ),
        Severity.HIGH,
    ),
    "handlers": ("async def run(xs):\n    await asyncio.gather(*[on_message(x) for x in xs])\n", Severity.HIGH),
    "tearing down": ("async def run(xs):\n    await asyncio.gather(*[x.close() for x in xs])\n", Severity.LOW),
    "unlike work in one list": (
        (
            "async def run(xs, queue):\n    jobs = [produce(queue, x) for x in xs]\n    jobs.append(collect(queue))\n"
            "    await asyncio.gather(*jobs)\n"
        ),
        Severity.HIGH,
    ),
    "an event of a dict": (
        (
            "done = {}\n\nasync def one(x):\n    for other in x.needs:\n        await done[other].wait()\n"
            "    done[x].set()\n\nasync def run(xs):\n    done.update({x: asyncio.Event() for x in xs})\n"
            "    await asyncio.gather(*[one(x) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "a method of what is in a list": (
        (
            "class Step:\n    async def run(self):\n        await self.ready\n\nasync def run(steps: list[Step]):\n"
            "    await asyncio.gather(*[step.run() for step in steps])\n"
        ),
        Severity.HIGH,
    ),
    "putting into a bounded queue": (
        (
            "async def one(x, queue):\n    await queue.put(await f(x))\n\n"
            "async def run(xs, queue):\n    await asyncio.gather(*[one(x, queue) for x in xs])\n"
        ),
        Severity.HIGH,
    ),
    "messages of a consumer": (
        (
            "async def one(topic):\n    consumer = Client(topic)\n    async for message in consumer:\n"
            "        await f(message)\n\n"
            "async def run(topics):\n    await asyncio.gather(*[one(topic) for topic in topics])\n"
        ),
        Severity.HIGH,
    ),
    "called by what is called under a lock": (
        (
            "class A:\n    async def all_of(self, xs):\n        await asyncio.gather(*[f(x) for x in xs])\n\n"
            "    async def load(self, xs):\n        await self.all_of(xs)\n\n"
            "    async def run(self, xs):\n        async with self.lock:\n            await self.load(xs)\n"
        ),
        Severity.HIGH,
    ),
    "unlike work": ("async def run(xs):\n    await asyncio.gather(g(), *[f(x) for x in xs])\n", Severity.HIGH),
}


ENDS = {
    "tries again": (
        "async def one(x):\n    while True:\n        try:\n            return await f(x)\n        except OSError:\n"
        "            await asyncio.sleep(1)\n"
    ),
    "a number of tries": (
        "async def one(x):\n    n = 0\n    while n < x.settings.tries:\n        n += 1\n        await f(x)\n"
    ),
    "page after page": (
        "async def one(x):\n    page = await f(x)\n    while page.next:\n        page = await f(page.next)\n"
    ),
    "what it has made itself": (
        "async def one(x):\n    t = asyncio.create_task(f(x))\n    await asyncio.wait_for(t, x.timeout)\n"
    ),
    "what it is given": "async def one(call):\n    return await call\n",
    "a lock for a while": "async def one(x):\n    async with x.lock:\n        await f(x)\n",
    "a process": "async def one(x):\n    p = await asyncio.create_subprocess_exec(x)\n    await p.wait()\n",
}


@pytest.mark.parametrize("name", ENDS)
def test_rewrites_safely_what_ends_by_itself(tmp_path, name):
    """Work that waits for nothing but its own doing needs no review."""
    source = f"{ENDS[name]}\nasync def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
    (tmp_path / "one.py").write_text(f"import asyncio\n\n{source}")
    (found,) = audit([tmp_path], Settings(select=("1",))).findings

    assert found.fix is Fix.SAFE


WAITS_ELSEWHERE = {
    "a barrier": ("async def meet(barrier):\n    await barrier.wait()\n", Fix.NONE),
    "an event": ("async def meet(event):\n    await event.wait()\n", Fix.REVIEW),
    "nothing": ("async def meet(event):\n    await event.close()\n", Fix.SAFE),
}


@pytest.mark.parametrize("name", WAITS_ELSEWHERE)
def test_follows_the_work_to_other_modules(tmp_path, name):
    """What a function of another module waits for counts, also where that one calls a third."""
    source, fix = WAITS_ELSEWHERE[name]
    (tmp_path / "third.py").write_text(source)
    (tmp_path / "second.py").write_text("from third import meet\n\nasync def one(x):\n    await meet(x)\n")
    (tmp_path / "first.py").write_text(
        "import asyncio\nfrom second import one\n\n"
        "async def run(xs):\n    await asyncio.gather(*[one(x) for x in xs])\n"
    )
    (found,) = audit([tmp_path], Settings(select=("1",))).findings

    assert found.fix is fix


@pytest.mark.parametrize("name", REVIEWED)
def test_leaves_to_review(tmp_path, name):
    """What depends on more than the function shows is rewritten only after review, and says what to look at."""
    source, severity = REVIEWED[name]
    (tmp_path / "one.py").write_text(f"import asyncio\n\n{source}")
    (found,) = audit([tmp_path], Settings(select=("1",))).findings

    assert (found.severity, found.fix) == (severity, Fix.REVIEW)
    assert found.rewrites
    assert found.fix_reason


def test_leaves_tasks_of_callers_alone(tmp_path):
    """Tasks that a caller has started are limited there or nowhere."""
    (tmp_path / "one.py").write_text(
        "import asyncio\n\nasync def all_of(tasks: list[asyncio.Task]):\n    return await asyncio.gather(*tasks)\n"
    )

    assert not audit([tmp_path], Settings(select=("1",))).findings


def test_never_rewrites_temporal_workflows(tmp_path):
    """In Temporal's sandbox only asyncio's own primitives are allowed."""
    (found,) = findings(
        tmp_path, "await asyncio.gather(*[f(x) for x in xs])", "import asyncio\nfrom temporalio import workflow"
    )

    assert found.fix is Fix.NONE
    assert "Temporal" in found.fix_reason


def test_blames_the_part_that_is_not_limited(tmp_path):
    """Where one branch is limited and the other is not, the other is reported, and not rewritten."""
    (found,) = findings(
        tmp_path,
        """
        sem = asyncio.Semaphore(n)
        async def one(x):
            async with sem:
                await f(x)
        if n == -1:
            ts = [asyncio.create_task(f(x)) for x in xs]
        else:
            ts = [asyncio.create_task(one(x)) for x in xs]
        await asyncio.gather(*ts)
        """,
    )

    assert (found.line, found.fix) == (11, Fix.NONE)
