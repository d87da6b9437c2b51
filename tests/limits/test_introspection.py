"""Which line has called, and where a task stands."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import types

from penstock_limits.introspection import CallSite, awaited_frames, call_site, frame_of


def as_module(name, source):
    """Return a module of some name, made of source code."""
    module = types.ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def test_the_caller_is_told():
    """Path, line and function, as a message shows them."""
    site, line = call_site(), sys._getframe().f_lineno

    assert site == CallSite(sys._getframe().f_code, line)
    assert str(site) == f"{__file__}:{line} in test_the_caller_is_told"


def test_skipped_modules_and_contextlib_did_not_call():
    """A library between the program and penstock is no answer."""
    library = as_module("driver.pool", "def lend(ask):\n    return ask('driver.')\n")

    @contextlib.contextmanager
    def borrowed():
        yield library.lend(call_site)

    with borrowed() as site:
        assert site.function.endswith("borrowed")
    assert library.lend(call_site).function.startswith("test_skipped")


async def test_a_task_of_the_library_is_named_itself():
    """Nobody above has called it: the event loop runs it."""
    library = as_module("driver.task", "async def work(ask):\n    return ask('driver.')\n")

    assert (await asyncio.create_task(library.work(call_site))).function == "work"


async def test_the_frames_of_a_task_that_waits_are_followed():
    """Through coroutines, asynchronous generators, `anext`, and objects with `__await__`."""
    gate = asyncio.Event()

    class Awaitable:
        def __await__(self):
            return (yield from gate.wait().__await__())

    async def items():
        yield await Awaitable()

    async def outer():
        async for _ in items():
            pass

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)

    names = [frame.f_code.co_name for frame in awaited_frames(task)]
    gate.set()
    await task

    assert names == ["outer", "items", "__await__", "wait"]
    assert awaited_frames(task) == []


def test_what_can_be_awaited_or_iterated_has_a_frame_until_it_ends():
    """A coroutine, a generator, an asynchronous generator; nothing else."""

    async def coroutine(): ...

    def generator():
        yield

    async def asynchronous():
        yield

    some = [coroutine(), generator(), asynchronous()]

    assert [frame_of(each).f_code.co_name for each in some] == ["coroutine", "generator", "asynchronous"]
    some[0].close()
    some[1].close()
    assert [frame_of(each) for each in (*some[:2], object(), None)] == [None] * 4
