"""Finds loops that start as many tasks as there is data.

## What it does

Looks at `asyncio.create_task`, `ensure_future`, `loop.create_task`, and the `create_task` or `start_soon` of a task
group, in a loop or a comprehension, and at what is given to `asyncio.as_completed` and `asyncio.wait`. It reports the
call if data, a request or a model sets the number of tasks and nothing on the way limits how many run at once. Tasks
that are gathered belong to unbounded-gather.

It leaves alone what that rule leaves alone, and besides: a task awaited in the loop's own turn, a task that replaces
its predecessor, a race whose first finisher counts, and a window: a loop that waits as soon as so many tasks run.

## Why is this bad

Each task starts at once and holds its memory, its connection and its place at the provider until it ends. A loop over a
thousand items is a thousand tasks, whoever waits for them, and `as_completed` only orders their results. What is left
without being waited for may vanish half-way, or pile up without end.

## Example

```python
async def stream_all(prompts):
    tasks = [asyncio.create_task(complete(prompt)) for prompt in prompts]
    for done in asyncio.as_completed(tasks):
        yield await done
```

## Use instead

```python
async def stream_all(prompts):
    async with penstock_limits.bounded_map(complete, prompts, limit="api_call", ordered=False) as results:
        async for result in results:
            yield result
```

Where the tasks must stay, let a limit start them: `penstock_limits.create_task(complete(prompt), limit="api_call")` is
`asyncio.create_task` with the mode off, and else a task that begins when it is admitted. In a task group, hold a
limiter in each: `async with penstock_limits.limiter("api_call"):`.

## Fix safety

Tasks stay tasks: `asyncio.create_task(...)` becomes `penstock_limits.create_task(..., limit=...)`. The rewrite is safe
where the same function waits for the tasks, by `as_completed`, by `wait` for all or one by one, does nothing else with
them, and waits for nothing else before; and where it leaves them, if what they run is in the same module and ends. All
tasks exist at once nonetheless; `bounded_map` also bounds the memory.

It is left to review where tasks are kept beyond the function or used besides, where the function suspends before it
waits for them, waits with a timeout or for the first that ends, or makes other tasks too; where left tasks may run for
long; where the work asks for the current task, waits for an event or for what others bring, or handles messages; where
the function waits under a lock; and where the number follows from what the object was set up with before.

It is never done where the work may not end or refers to the other tasks, for tasks of a group, a loop or
`ensure_future`, for coroutines handed to `as_completed`, and in Temporal workflows. A finding of low severity is
advice: above all, tasks for what arrives in an endless loop, such as messages and connections.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._fanout.fan_outs import FanOuts
from penstock_migrations._fanout.messages import describe, severity_of
from penstock_migrations._fanout.settling import settle_fan_out
from penstock_migrations._fanout.task_fixes import task_fix
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the calls that start tasks whose number nothing limits."""
    found = module.analysis(FanOuts)
    for fan_out in found.task_loops:
        fix, reason, rewrites = task_fix(found, fan_out, options.limit)
        yield Defect(
            node=fan_out.call,
            severity=severity_of(fan_out),
            message=f"the loop {describe(fan_out)}; use penstock_limits.create_task(..., limit=...) or bounded_map",
            fix=fix,
            fix_reason=reason,
            rewrites=rewrites,
            callees=found.callees(fan_out),
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN102",
    triggers=(b"create_task", b"ensure_future", b"as_completed", b"start_soon"),
    detect=detect,
    settle=settle_fan_out,
    bad=(
        Example(
            "results as they come",
            """
import asyncio

async def complete_all(prompts):
    for done in asyncio.as_completed([complete(prompt) for prompt in prompts]):
        print(await done)
""",
        ),
        Example(
            "tasks made in a loop and waited for",
            """
import asyncio

async def index_all(documents):
    tasks = set()
    for document in documents:
        task = asyncio.create_task(index(document))
        tasks.add(task)
    done, _ = await asyncio.wait(tasks)
    return done
""",
            """
import asyncio

import penstock_limits

async def index_all(documents):
    tasks = set()
    for document in documents:
        task = penstock_limits.create_task(index(document), limit="api_call")
        tasks.add(task)
    done, _ = await asyncio.wait(tasks)
    return done
""",
        ),
        Example(
            "named tasks, taken as they finish",
            """
from asyncio import as_completed, create_task

async def stream_all(prompts):
    tasks = [create_task(complete(prompt), name=prompt.title) for prompt in prompts]
    for done in as_completed(tasks):
        yield await done
""",
            """
from asyncio import as_completed, create_task

import penstock_limits

async def stream_all(prompts):
    tasks = [penstock_limits.create_task(complete(prompt), name=prompt.title, limit="api_call") for prompt in prompts]
    for done in as_completed(tasks):
        yield await done
""",
        ),
        Example(
            "tasks that are left, and end",
            """
import asyncio

async def warm(cache, url):
    cache[url] = await fetch(url)

def warm_all(cache, urls):
    for url in urls:
        asyncio.create_task(warm(cache, url))
""",
            """
import asyncio

import penstock_limits

async def warm(cache, url):
    cache[url] = await fetch(url)

def warm_all(cache, urls):
    for url in urls:
        penstock_limits.create_task(warm(cache, url), limit="api_call")
""",
        ),
        Example(
            "a task group",
            """
import asyncio

async def notify_all(users):
    async with asyncio.TaskGroup() as group:
        for user in users:
            group.create_task(notify(user))
""",
        ),
        Example(
            "tasks of a loop",
            """
import asyncio

async def warm_cache(urls):
    loop = asyncio.get_running_loop()
    for url in urls:
        loop.create_task(fetch(url))
""",
        ),
    ),
    good=(
        Example(
            "a task awaited in the loop's own turn",
            """
import asyncio

async def read_all(queues, token):
    while True:
        future = asyncio.ensure_future(queues.get())
        token.link(future)
        print(await future)
""",
        ),
        Example(
            "a window",
            """
import asyncio

async def crawl(urls):
    running = set()
    for url in urls:
        if len(running) >= 10:
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        running.add(asyncio.create_task(fetch(url)))
    await asyncio.wait(running)
""",
        ),
        Example(
            "a race",
            """
import asyncio

async def first_of(mirrors):
    tasks = [asyncio.create_task(fetch(mirror)) for mirror in mirrors]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return done.pop().result()
""",
        ),
        Example(
            "each task takes a semaphore",
            """
import asyncio

async def index_all(documents, semaphore):
    async def index_limited(document):
        async with semaphore:
            await index(document)

    async with asyncio.TaskGroup() as group:
        for document in documents:
            group.create_task(index_limited(document))
""",
        ),
        Example(
            "a fixed number of workers",
            """
import asyncio

async def serve(queue, concurrency):
    return [asyncio.create_task(work(queue)) for _ in range(concurrency)]
""",
        ),
        Example(
            "a new task in place of the one that ended",
            """
import asyncio

class Link:
    async def keep(self, connect):
        while True:
            self.task = asyncio.create_task(connect())
            await self.closed.wait()
""",
        ),
    ),
)
