"""Finds `asyncio.get_event_loop()`, in coroutines and in sync code.

## What it does

Reports each call of `asyncio.get_event_loop`, once, whatever is done with the loop. In a coroutine, and in a callback
defined in one, `asyncio.get_running_loop()` says the same and says it certainly. In sync code the message names what
fits: a test for a running loop, `asyncio.run()` and `asyncio.Runner` for running something, a loop that is passed in
for the rest.

It leaves alone `asyncio.get_running_loop()`, `asyncio.new_event_loop()` and `asyncio.set_event_loop()` used
explicitly, a call that follows `set_event_loop` in the same block, branches for older Pythons, and shims that silence
the `DeprecationWarning` and handle the `RuntimeError`. Loops that a script runs at top level are PEN405's.

## Why is this bad

The call means three things: the running loop, a loop that somebody set, or a new one that nobody closes. The last was
deprecated in Python 3.12 and is a `RuntimeError` since 3.14. It is one already in older versions in every thread but
the main one, and in the main one after any `asyncio.run()`: that clears the thread's loop when it ends, so modernising
one entry point breaks the next that still asks for "the" loop.

## Example

```python
async def load(path):
    loop = asyncio.get_event_loop()
    return await loop.run_in_executor(None, path.read_text)
```

## Use instead

```python
async def load(path):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, path.read_text)
```

## Fix safety

Not rewritten. In a coroutine the change is safe by itself; in sync code it decides who owns the loop, and all sync
entry points of a thread have to change together: `asyncio.run()` in one of them takes the loop away from the others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import asyncio_calls, removed_loop
from penstock_migrations.phase2_modernization.run_until_complete_at_top_level import runs_at_top_level
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_FAILS = "it raises RuntimeError from Python 3.14 on, and in any version after asyncio.run() in the same thread"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls of `asyncio.get_event_loop`."""
    for call in asyncio_calls(module, "get_event_loop"):
        if not _is_left_alone(module, call):
            yield _in_coroutine(call) if _is_on_loop(module, call) else _in_sync_code(module, call)


def _is_left_alone(module: Module, call: ast.Call) -> bool:
    return (
        runs_at_top_level(module, call)
        or _is_removed_argument(module, call)
        or _is_set_before(module, call)
        or _is_shim(module, call)
    )


def _in_coroutine(call: ast.Call) -> Defect:
    return Defect(
        node=call,
        severity=Severity.MEDIUM,
        message="asyncio.get_event_loop() where a loop runs; use asyncio.get_running_loop()",
        fix_reason="replace it by asyncio.get_running_loop() if this runs on the loop only, as it does in a coroutine",
    )


def _in_sync_code(module: Module, call: ast.Call) -> Defect:
    handled = any(isinstance(one, ast.Try) and _handles_runtime_error(one) for one in module.ancestors(call))
    return Defect(
        node=call,
        severity=Severity.MEDIUM if handled else Severity.HIGH,
        message=f"asyncio.get_event_loop() in sync code: {_FAILS}; {_instead(module, call)}",
        fix_reason="who owns the loop is yours to decide; change all sync entry points of the thread together",
    )


def _instead(module: Module, call: ast.Call) -> str:
    """Say what to use instead, by what is done with the loop."""
    used = _methods_used(module, call)
    if "run_until_complete" in used:
        return "use asyncio.run(), or one asyncio.Runner for several calls"
    if "is_running" in used:
        return "to see whether a loop runs, use asyncio.get_running_loop() and catch RuntimeError"
    return "pass the loop in, or take asyncio.get_running_loop() when a coroutine first needs it"


def _methods_used(module: Module, call: ast.Call) -> set[str]:
    """Return what is asked of the loop: in the same expression, or of the name that it gets."""
    parent = module.parents[call]
    if isinstance(parent, ast.Attribute):
        return {parent.attr}
    names = {ast.unparse(target) for target in parent.targets} if isinstance(parent, ast.Assign) else set()
    calls = module.calls_of("run_until_complete", "is_running")
    funcs = [one.func for one in calls if module.function(one) is module.function(call)]
    return {func.attr for func in funcs if isinstance(func, ast.Attribute) and ast.unparse(func.value) in names}


def _is_on_loop(module: Module, call: ast.Call) -> bool:
    """Say whether the call is in a coroutine, or in what is defined within one."""
    return any(isinstance(around, ast.AsyncFunctionDef) for around in module.ancestors(call))


def _is_removed_argument(module: Module, call: ast.Call) -> bool:
    """Say whether the loop is handed to what takes none any more: that is PEN402's."""
    keyword = module.parents[call]
    around = module.parents[keyword]
    return isinstance(around, ast.Call) and removed_loop(module, around) is keyword


def _is_set_before(module: Module, call: ast.Call) -> bool:
    """Say whether a loop was set before, in the same function and in a block around the call."""
    around = set(module.ancestors(call))
    return any(
        one.lineno < call.lineno
        and module.function(one) is module.function(call)
        and module.parents[module.statement(one)] in around
        for one in asyncio_calls(module, "set_event_loop")
    )


def _is_shim(module: Module, call: ast.Call) -> bool:
    """Say whether the warning is silenced and the error handled on purpose."""
    around = list(module.ancestors(call))
    silences = any(isinstance(one, ast.With) and _is_silencing(module, one) for one in around)
    return silences and any(isinstance(one, ast.Try) and _handles_runtime_error(one) for one in around)


def _is_silencing(module: Module, block: ast.With) -> bool:
    found = [item.context_expr for item in block.items]
    return any(isinstance(one, ast.Call) and module.qualified(one.func) == "warnings.catch_warnings" for one in found)


def _handles_runtime_error(block: ast.Try) -> bool:
    caught = [handler.type for handler in block.handlers]
    return any(one is None or ast.unparse(one) in {"RuntimeError", "Exception"} for one in caught)


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN401",
    triggers=(b"get_event_loop",),
    detect=detect,
    bad=(
        Example(
            "in a coroutine",
            """
import asyncio

async def load(path):
    loop = asyncio.get_event_loop()
    return await loop.run_in_executor(None, path.read_text)
""",
        ),
        Example(
            "in a callback that a coroutine defines",
            """
import asyncio

async def watch(source):
    def on_change(event):
        asyncio.get_event_loop().create_task(handle(event))

    source.subscribe(on_change)
""",
        ),
        Example(
            "a loop to run something in sync code: one defect, not two",
            """
import asyncio

def answer(question):
    return asyncio.get_event_loop().run_until_complete(ask(question))
""",
        ),
        Example(
            "a new loop where there is none",
            """
import asyncio

def answer(question):
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop.run_until_complete(ask(question))
""",
        ),
        Example(
            "an object made before any loop runs, the function imported under another name",
            """
from asyncio import get_event_loop as current_loop

class Cache:
    def __init__(self, loop=None):
        self.loop = loop or current_loop()
""",
        ),
        Example(
            "a test for a running loop",
            """
import asyncio

def sample():
    if asyncio.get_event_loop().is_running():
        raise RuntimeError("use the async method")
""",
        ),
    ),
    good=(
        Example(
            "the running loop",
            """
import asyncio

async def load(path):
    return await asyncio.get_running_loop().run_in_executor(None, path.read_text)
""",
        ),
        Example(
            "a thread's own loop",
            """
import asyncio

def serve(handler):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(handler())
    asyncio.get_event_loop().close()
""",
        ),
        Example(
            "a shim for older Pythons",
            """
import asyncio
import sys

def current_loop():
    if sys.version_info >= (3, 7):
        return asyncio.get_running_loop()
    else:
        return asyncio.get_event_loop()
""",
        ),
    ),
)
