"""Shapes whose rewrite would be noticed: in mode off nothing may change, enforced nothing may wait for ever."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations.rule import Fix


def fixes(folder: Path, source: str) -> set[Fix]:
    (folder / "shape.py").write_text("import asyncio\n" + textwrap.dedent(source), encoding="utf-8")
    return {finding.fix for finding in audit([folder], Settings(select=("1",))).findings}


UNTOUCHED = {
    "a context variable set for each task": """
        async def run_all(xs):
            tasks = []
            for x in xs:
                current.set(x)
                tasks.append(asyncio.create_task(run()))
            return await asyncio.gather(*tasks)
        """,
    "a span around each task": """
        async def run_all(xs):
            tasks = []
            for x in xs:
                with span(x):
                    tasks.append(asyncio.create_task(run(x)))
            return await asyncio.gather(*tasks)
        """,
    "an argument that is awaited with tasks running": """
        async def run_all(pool, xs):
            tasks = [asyncio.create_task(run(pool, x, await pool.take())) for x in xs]
            return await asyncio.gather(*tasks)
        """,
    "items that arrive one by one": """
        async def run_all(stream):
            tasks = [asyncio.create_task(run(x)) async for x in stream()]
            return await asyncio.gather(*tasks)
        """,
    "tasks chosen by their state": """
        async def run_all(xs):
            tasks = [asyncio.create_task(run(x)) for x in xs]
            return await asyncio.gather(*[task for task in tasks if not task.done()])
        """,
    "tasks kept by a walrus": """
        async def run_all(xs):
            results = await asyncio.gather(*(kept := [asyncio.create_task(run(x)) for x in xs]))
            return results, [task.done() for task in kept]
        """,
    "tasks kept for the whole module": """
        async def run_all(xs):
            global kept
            kept = [asyncio.create_task(run(x)) for x in xs]
            return await asyncio.gather(*kept)
        """,
    "tasks of a group": """
        async def run_all(xs):
            async with asyncio.TaskGroup() as tg:
                tasks = [tg.create_task(run(x)) for x in xs]
                return await asyncio.gather(*tasks, return_exceptions=True)
        """,
    "tasks of a supervisor": """
        async def run_all(xs):
            group = Supervisor()
            tasks = [group.create_task(run(x)) for x in xs]
            return await asyncio.gather(*tasks)
        """,
    "a coroutine given by keyword": """
        async def run_all(xs):
            return await asyncio.gather(*[asyncio.create_task(coro=run(x)) for x in xs])
        """,
    "a gather that may be another's": """
        try:
            from other import gather
        except ImportError:
            from asyncio import gather

        async def run_all(xs):
            return await gather(*[run(x) for x in xs])
        """,
    "something else called asyncio": """
        async def run_all(asyncio, xs):
            return await asyncio.gather(*[run(x) for x in xs])
        """,
    "a condition that its peers notify": """
        async def run(condition, x):
            async with condition:
                await condition.wait_for(lambda: ready)

        async def run_all(condition, xs):
            return await asyncio.gather(*[run(condition, x) for x in xs])
        """,
    "a future of the object": """
        class Node:
            async def run(self, x):
                await self.done

            async def run_all(self, xs):
                return await asyncio.gather(*[self.run(x) for x in xs])
        """,
    "another's future": """
        async def run(done, x):
            await done[x.parent]

        async def run_all(done, xs):
            return await asyncio.gather(*[run(done, x) for x in xs])
        """,
    "polling": """
        async def run(state, x):
            while state.started < state.total:
                await asyncio.sleep(0.1)

        async def run_all(state, xs):
            return await asyncio.gather(*[run(state, x) for x in xs])
        """,
    "producers beside consumers": """
        async def run_all(queue, xs, ys):
            return await asyncio.gather(*[produce(queue, x) for x in xs], *[consume(queue, y) for y in ys])
        """,
}


@pytest.mark.parametrize("shape", UNTOUCHED)
def test_what_would_be_noticed_is_not_rewritten_without_a_person(tmp_path: Path, shape: str):
    """It is reported, or left alone, and never called safe."""
    assert Fix.SAFE not in fixes(tmp_path, UNTOUCHED[shape])


STILL_SAFE = {
    "tasks of the running loop": """
        async def run_all(xs):
            loop = asyncio.get_running_loop()
            tasks = [loop.create_task(run(x)) for x in xs]
            return await asyncio.gather(*tasks)
        """,
    "a span around all of it": """
        async def run_all(xs):
            with span("all"):
                tasks = [asyncio.create_task(run(x)) for x in xs]
                return await asyncio.gather(*tasks)
        """,
    "an argument that is awaited before all": """
        async def run_all(pool, xs):
            one = await pool.take()
            tasks = [asyncio.create_task(run(one, x)) for x in xs]
            return await asyncio.gather(*tasks)
        """,
    "a wrapper that awaits what it is given": """
        async def named(coroutine):
            return await coroutine

        async def run_all(xs):
            return await asyncio.gather(*[named(run(x)) for x in xs])
        """,
    "the same import twice": """
        import asyncio

        async def run_all(xs):
            return await asyncio.gather(*[run(x) for x in xs])
        """,
}


@pytest.mark.parametrize("shape", STILL_SAFE)
def test_what_nobody_notices_is_safe(tmp_path: Path, shape: str):
    """Caution that is not needed costs a person's time."""
    assert fixes(tmp_path, STILL_SAFE[shape]) == {Fix.SAFE}
