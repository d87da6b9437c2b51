"""Deprecated asyncio: one finding per site, and none for what looks alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings


def codes(folder: Path, source: str) -> list[str]:
    """Audit a module for issue 4 and return the codes of what was found, in the order of the text."""
    (folder / "shape.py").write_text(f"import asyncio\n{source}\n", encoding="utf-8")
    return [finding.code for finding in audit([folder], Settings(select=("4",))).findings]


FOUND = {
    "the clock of the loop": ("async def f():\n    return asyncio.get_event_loop().time()", ["PEN401"]),
    "two questions, two sites": (
        "async def f():\n    t = asyncio.get_event_loop().time()\n    return asyncio.get_event_loop().time() - t",
        ["PEN401", "PEN401"],
    ),
    "an alias of the module": ("import asyncio as aio\ndef f():\n    return aio.get_event_loop()", ["PEN401"]),
    "its own module": ("from asyncio import events\ndef f():\n    return events.get_event_loop()", ["PEN401"]),
    "a fallback for no running loop": (
        (
            "def f():\n    try:\n        return asyncio.get_running_loop()\n"
            "    except RuntimeError:\n        return asyncio.get_event_loop()"
        ),
        ["PEN401"],
    ),
    "a loop that the module takes and does not run": ("LOOP = asyncio.get_event_loop()", ["PEN401"]),
    "a loop set later": (
        "def f():\n    loop = asyncio.get_event_loop()\n    asyncio.set_event_loop(loop)",
        ["PEN401"],
    ),
    "a loop set in one arm": (
        "def f(loop):\n    if loop:\n        asyncio.set_event_loop(loop)\n    return asyncio.get_event_loop()",
        ["PEN401"],
    ),
    "a loop for a lock": ("def f():\n    return asyncio.Lock(loop=asyncio.get_event_loop())", ["PEN402"]),
    "no loop for a lock": ("def f():\n    return asyncio.Lock(loop=None)", ["PEN402"]),
    "a loop for a server": ("def f(loop):\n    return asyncio.start_server(g, 'h', 1, loop=loop)", ["PEN402"]),
    "a task on a loop of one's own": (
        "def f(self):\n    return asyncio.ensure_future(self.close(), loop=self.loop)",
        ["PEN404"],
    ),
    "a task on the loop asked for in place": (
        "def f(self):\n    return asyncio.ensure_future(self.close(), loop=asyncio.get_event_loop())",
        ["PEN401"],
    ),
    "a lock's acquire": ("def f(lock):\n    return asyncio.ensure_future(lock.acquire())", ["PEN404"]),
    "a connect that is async here": (
        "class A:\n    async def connect(self): ...\n    def f(self):\n        asyncio.ensure_future(self.connect())",
        ["PEN404"],
    ),
    "a callable of coroutines": (
        "def f(g: Callable[[], Coroutine[int, None, None]]):\n    return asyncio.ensure_future(g())",
        ["PEN404"],
    ),
    "a policy of another library": (
        "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())",
        ["PEN406"],
    ),
    "uvloop installs itself": ("import uvloop\nuvloop.install()", ["PEN406"]),
}
LEFT = {
    "a function of that name": "def get_event_loop(): ...\ndef f():\n    return get_event_loop()",
    "a method of that name": "def f(policy):\n    return policy.get_event_loop()",
    "another asyncio": "from vendor import asyncio\ndef f():\n    return asyncio.get_event_loop()",
    "a shim that silences and handles": (
        "import warnings\ndef f():\n    try:\n        with warnings.catch_warnings():\n"
        "            warnings.simplefilter('ignore', DeprecationWarning)\n            return asyncio.get_event_loop()\n"
        "    except RuntimeError:\n        return asyncio.new_event_loop()"
    ),
    "where get_running_loop is lacking": (
        "def f():\n    try:\n        return asyncio.get_running_loop()\n"
        "    except AttributeError:\n        return asyncio.get_event_loop()"
    ),
    "a step of an iterator": "def f(it):\n    return asyncio.ensure_future(it.__anext__())",
    "an object that can be awaited": "def f(x):\n    return asyncio.ensure_future(vendor.Operation(x))",
    "a database's connect": "def f(path):\n    return asyncio.ensure_future(aiosqlite.connect(path))",
    "a pool's acquire": "def f(pool):\n    return asyncio.ensure_future(pool.acquire())",
    "a plain function": "def g(): ...\ndef f():\n    return asyncio.ensure_future(g())",
    "a gather": "def f(xs):\n    return asyncio.ensure_future(asyncio.gather(*xs))",
    "what is called by the outcome of a call": "def f(g):\n    return asyncio.ensure_future(g()())",
    "a future on a loop": "def f(loop):\n    return asyncio.Future(loop=loop), asyncio.StreamReader(loop=loop)",
    "a method that takes a loop": "def f(client, loop):\n    return client.Lock(loop=loop)",
    "inspect's": "import inspect\ndef f(g):\n    return inspect.iscoroutinefunction(g)",
}


@pytest.mark.parametrize(("source", "expected"), FOUND.values(), ids=FOUND)
def test_finds(source: str, expected: list[str], tmp_path: Path):
    """Each site is one finding."""
    assert codes(tmp_path, source) == expected


@pytest.mark.parametrize("source", LEFT.values(), ids=LEFT)
def test_leaves_alone(source: str, tmp_path: Path):
    """What is not deprecated, or cannot be told, is not reported."""
    assert not codes(tmp_path, source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("async def f():\n    asyncio.get_event_loop()", "use asyncio.get_running_loop()"),
        ("def f():\n    asyncio.get_event_loop().run_until_complete(g())", "asyncio.Runner for several calls"),
        ("def f():\n    loop = asyncio.get_event_loop()\n    loop.run_until_complete(g())", "use asyncio.run()"),
        ("def f():\n    return asyncio.get_event_loop().is_running()", "catch RuntimeError"),
        ("def f():\n    return asyncio.get_event_loop()", "pass the loop in"),
        ("def f():\n    return asyncio.get_event_loop()", "after asyncio.run() in the same thread"),
    ],
)
def test_says_what_to_use_instead(source: str, said: str, tmp_path: Path):
    """The message depends on where the call is, and on what is done with the loop."""
    (tmp_path / "shape.py").write_text(f"import asyncio\n{source}\n", encoding="utf-8")
    (found,) = audit([tmp_path], Settings(select=("4",))).findings

    assert said in found.message
