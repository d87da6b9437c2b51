"""Finds scripts that run their main coroutine by `loop.run_until_complete` instead of `asyncio.run`.

## What it does

Reports the loop that a module takes by `asyncio.get_event_loop()` outside any function, also under `if __name__ ==
"__main__":`, and runs something on by `run_until_complete`: one finding, at the call that takes the loop. A loop made
by `asyncio.new_event_loop()` there is reported as advice of low severity.

It leaves alone loops of functions (PEN401 reports `get_event_loop` there), of threads, and of other libraries.

## Why is this bad

Without a loop that somebody set, `asyncio.get_event_loop()` is a `RuntimeError` since Python 3.14. And whoever runs a
loop by hand has to close it by hand: cancel what still runs, shut down asynchronous generators and the default
executor, handle Ctrl-C. `asyncio.run()` does all of it.

## Example

```python
if __name__ == "__main__":
    loop = asyncio.get_event_loop()
    loop.run_until_complete(main())
```

## Use instead

```python
if __name__ == "__main__":
    asyncio.run(main())
```

## Fix safety

Not rewritten: objects that were made for the old loop before it ran (locks and queues on Python 3.9, clients, sessions)
belong into the main coroutine first, and several calls that share state need one `asyncio.Runner`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations.phase2_modernization._asyncio_names import asyncio_calls
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect", "runs_at_top_level"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the loops that a module takes and runs outside any function."""
    for name, severity in (("get_event_loop", Severity.MEDIUM), ("new_event_loop", Severity.LOW)):
        for call in asyncio_calls(module, name):
            if runs_at_top_level(module, call):
                yield Defect(
                    node=call,
                    severity=severity,
                    message=f"a loop of asyncio.{name}() is run at top level; use asyncio.run()",
                    fix_reason="what is made before the loop runs may belong into the coroutine; several calls that"
                    " share a loop need one asyncio.Runner",
                )


def runs_at_top_level(module: Module, call: ast.Call) -> bool:
    """Say whether a loop is made outside any function and run there."""
    if module.scope(call) is not module.tree:
        return False
    if isinstance(parent := module.parents[call], ast.Attribute):
        return parent.attr == "run_until_complete"
    names = [ast.unparse(target) for target in parent.targets] if isinstance(parent, ast.Assign) else []
    return any(
        isinstance(one.func, ast.Attribute)
        and ast.unparse(one.func.value) in names
        and module.scope(one) is module.tree
        for one in module.calls_of("run_until_complete")
    )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN405",
    triggers=(b"run_until_complete",),
    detect=detect,
    bad=(
        Example(
            "a named loop",
            """
import asyncio

if __name__ == "__main__":
    loop = asyncio.get_event_loop()
    loop.run_until_complete(main())
    loop.close()
""",
        ),
        Example(
            "in one expression",
            """
import asyncio

asyncio.get_event_loop().run_until_complete(main())
""",
        ),
        Example(
            "a new loop: advice",
            """
import asyncio

loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(main())
finally:
    loop.close()
""",
        ),
    ),
    good=(
        Example(
            "asyncio.run",
            """
import asyncio

if __name__ == "__main__":
    asyncio.run(main())
""",
        ),
        Example(
            "a thread's own loop",
            """
import asyncio

def serve():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main())
""",
        ),
    ),
)
