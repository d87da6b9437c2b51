"""Finds event loop policies and child watchers.

## What it does

Reports `asyncio.set_event_loop_policy`, `asyncio.get_event_loop_policy`, `uvloop.install`, classes derived from
asyncio's policies, policies and child watchers that are made, and `asyncio.get_child_watcher` and
`asyncio.set_child_watcher`. What is nested in such a call is the same defect.

## Why is this bad

The policy system is deprecated since Python 3.14 and goes in 3.16; child watchers were removed in 3.14. Both change
the loops of the whole process from anywhere: a library that is imported decides for the program, and the last one wins.

## Example

```python
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(main())
```

## Use instead

```python
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
```

## Fix safety

Not rewritten: a policy acts on all loops made after it, a loop factory on one; who makes the loops is spread over the
program. `asyncio.run(..., loop_factory=...)` needs Python 3.12, `asyncio.Runner` 3.11.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import asyncio_calls, asyncio_name, is_for_old_python
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_POLICIES = frozenset(
    [
        "AbstractEventLoopPolicy",
        "DefaultEventLoopPolicy",
        "WindowsProactorEventLoopPolicy",
        "WindowsSelectorEventLoopPolicy",
    ]
)
_WATCHERS = frozenset(
    [
        "AbstractChildWatcher",
        "BaseChildWatcher",
        "FastChildWatcher",
        "MultiLoopChildWatcher",
        "PidfdChildWatcher",
        "SafeChildWatcher",
        "ThreadedChildWatcher",
        "get_child_watcher",
        "set_child_watcher",
    ]
)
_FUNCTIONS = ("get_event_loop_policy", "set_event_loop_policy")
_POLICY = "event loop policies are deprecated since Python 3.14; give asyncio.Runner or asyncio.run a loop_factory"
_WATCHER = "child watchers are gone since Python 3.14; drop it, asyncio picks the way to wait for children"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield what sets, asks for or defines a policy or a child watcher."""
    calls = list(asyncio_calls(module, *_FUNCTIONS, *sorted(_POLICIES | _WATCHERS)))
    calls += [call for call in module.calls_of("install") if module.qualified(call.func) == "uvloop.install"]
    found = set(calls)
    for call in calls:
        if found.isdisjoint(module.ancestors(call)):
            yield _defect(call, asyncio_name(module, call.func) or "uvloop.install")
    for around in module.classes.values():
        names = [asyncio_name(module, base) for base in around.bases]
        for base, name in zip(around.bases, names, strict=True):
            if name in _POLICIES | _WATCHERS and not is_for_old_python(module, around):
                yield _defect(base, name)


def _defect(node: ast.expr, name: str) -> Defect:
    return Defect(
        node=node,
        severity=Severity.MEDIUM,
        message=f"{name}: {_WATCHER if name in _WATCHERS else _POLICY}",
        fix_reason="a policy acts on all loops made later, a loop factory on one: find who makes the loops",
    )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN406",
    triggers=(b"loop_policy", b"LoopPolicy", b"child_watcher", b"ChildWatcher", b"uvloop"),
    detect=detect,
    bad=(
        Example(
            "a policy for Windows: one defect",
            """
import asyncio
import sys

if sys.platform == "win32":
    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
""",
        ),
        Example(
            "asking for it",
            """
from asyncio import get_event_loop_policy

def loop():
    return get_event_loop_policy().new_event_loop()
""",
        ),
        Example(
            "a policy of one's own",
            """
import asyncio

class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        return Loop()
""",
        ),
        Example(
            "a child watcher",
            """
import asyncio

def setup(loop):
    watcher = asyncio.ThreadedChildWatcher()
    watcher.attach_loop(loop)
""",
        ),
    ),
    good=(
        Example(
            "a loop factory",
            """
import asyncio
import uvloop

def main(run):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
""",
        ),
        Example(
            "only on Pythons that have no other way",
            """
import asyncio
import sys

if sys.version_info < (3, 12):
    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
""",
        ),
    ),
)
