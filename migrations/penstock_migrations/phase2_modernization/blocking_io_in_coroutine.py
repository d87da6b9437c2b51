"""Finds child processes and files that a coroutine waits for while the event loop stands still.

## What it does

Reports `subprocess.run`, `call`, `check_call`, `check_output`, `getoutput`, `os.system`, and `wait` or `communicate` of
a `subprocess.Popen` or a `psutil.Process` in coroutines, and the call of a coroutine that leads to one of them through
synchronous functions of any audited file; then the message shows the way. `open()` and `read_text` and their like in a
coroutine are advice, of low severity: a local file is mostly quick.

It leaves alone `asyncio.create_subprocess_exec`, asynchronous files, synchronous programs, `os.waitpid` with `WNOHANG`,
`os.system("clear")`, and what runs in a thread.

## Why is this bad

The event loop waits for the child process, and everybody else with it: seconds for a compiler, minutes for a download,
for ever for a process that hangs. A file on a network or a full disk is no better.

## Example

```python
async def version():
    return subprocess.run(["git", "describe"], capture_output=True).stdout
```

## Use instead

```python
async def version():
    process = await asyncio.create_subprocess_exec("git", "describe", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output
```

`await asyncio.to_thread(...)` does for files, and where a library insists on blocking.

## Fix safety

It is reported, not rewritten: asynchronous processes and files differ in their arguments and results.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock_migrations._blocking.coroutines import in_coroutines
from penstock_migrations._blocking.sites import blocking_sites
from penstock_migrations._code.module import Module
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity, Site

__all__ = ["RULE", "detect"]

_CODE = "PEN503"
_ADVICE = "use asyncio.create_subprocess_exec, or asyncio.to_thread"
_REASON = "asynchronous processes and files differ in their arguments and results: replace it by hand"


def detect(module: Module, options: Options) -> Iterator[Defect]:
    """Yield the processes and files that coroutines' own code waits for."""
    for found in in_coroutines(module, options, ("process", "file")):
        is_file = found.kind == "file"
        yield Defect(
            node=found.node,
            severity=Severity.LOW if is_file else Severity.MEDIUM,
            message=(
                f"{found.what} blocks the event loop while the file is read or written; use asyncio.to_thread"
                if is_file
                else f"{found.what} blocks the event loop until the process has ended; {_ADVICE}"
            ),
            fix_reason=_REASON,
        )


def survey(project: Project, _options: Options) -> Iterator[tuple[Path, Site]]:
    """Yield the calls in coroutines that come to wait for a process through synchronous functions."""
    return blocking_sites(project, _CODE, ("process",), _ADVICE, _REASON)


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code=_CODE,
    triggers=(b"async def",),
    detect=detect,
    survey=survey,
    bad=(
        Example(
            "a child process",
            """
import subprocess

async def version():
    return subprocess.run(["git", "describe"], capture_output=True).stdout
""",
        ),
        Example(
            "a process that is waited for",
            """
import subprocess

async def build(command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output, _ = process.communicate()
    return output
""",
        ),
        Example(
            "a process of psutil's",
            """
import psutil

async def stop(pid):
    process = psutil.Process(pid)
    process.terminate()
    process.wait(timeout=10)
""",
        ),
        Example(
            "through a helper",
            """
import os

def clean(folder):
    os.system(f"git -C {folder} clean -f")

async def reset(folder):
    clean(folder)
""",
        ),
        Example(
            "a file, which is advice",
            """
async def load(path):
    with open(path) as file:
        return file.read()
""",
        ),
    ),
    good=(
        Example(
            "an asynchronous process",
            """
import asyncio

async def version():
    process = await asyncio.create_subprocess_exec("git", "describe", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output
""",
        ),
        Example(
            "a look at whether a process has ended",
            """
import os

async def reap(pid):
    return os.waitpid(pid, os.WNOHANG)
""",
        ),
        Example(
            "a screen that is cleared",
            """
import os

async def chat(questions):
    os.system("cls" if os.name == "nt" else "clear")
    async for question in questions:
        print(question)
""",
        ),
        Example(
            "a process that an executor's thread waits for",
            """
import asyncio
import subprocess
from functools import partial

def build(command, folder):
    subprocess.run(command, cwd=folder, check=True)

async def build_all(commands, executor):
    for command in commands:
        await asyncio.get_running_loop().run_in_executor(executor, partial(build, command, folder="out"))
""",
        ),
        Example(
            "a file read in a thread",
            """
import asyncio
from pathlib import Path

async def load(path):
    return await asyncio.to_thread(Path(path).read_text)
""",
        ),
        Example(
            "an asynchronous file",
            """
import anyio

async def load(path):
    return await anyio.Path(path).read_text()
""",
        ),
    ),
)
