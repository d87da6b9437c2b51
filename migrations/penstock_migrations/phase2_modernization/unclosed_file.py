"""Finds files that are opened and not closed.

## What it does

Reports `open` and its like (`io.open`, `gzip.open`, `Path(...).open`, `aiofiles.open`, `tempfile.NamedTemporaryFile`)
where the file is used in the expression that opens it (`json.load(open(path))`, `open(path).read()`, `for line in
open(path)`), where a local name holds it to the end, and where an attribute of self holds it and the module closes that
attribute nowhere. A function that is handed a file is taken to leave it open; an object may keep it.

It leaves alone what is closed (`with`, `finally`, an exit stack, a method that closes), what is returned or handed to
an object, and `open(path, "w").close()`.

## Why is this bad

The file stays open until the garbage collector finds it: at once on CPython in simple code, much later in a cycle, in a
traceback that somebody keeps, or on another interpreter. What was written may still sit in the buffer, and thousands of
documents read so are thousands of open files.

## Example

```python
def load(path):
    return json.load(open(path))
```

## Use instead

```python
def load(path):
    with open(path) as file:
        return json.load(file)
```

## Fix safety

Never rewritten: how far the file is in use is for a person to choose.

A finding of low severity is advice: the file is closed unless something fails before.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._lifetimes.lifetimes import Lifetimes
from penstock_migrations._lifetimes.messages import describe, reason
from penstock_migrations._lifetimes.resources import FILES
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the files that are not closed."""
    for leak in module.analysis(Lifetimes).leaks(FILES):
        yield Defect(
            node=leak.call,
            severity=leak.severity,
            message=f"{describe(leak)}; use a with statement",
            fix_reason=reason(leak),
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN604",
    triggers=(b"open(", b"ZipFile(", b"TemporaryFile("),
    detect=detect,
    bad=(
        Example(
            "an argument",
            """
import json

def load(path):
    return json.load(open(path))
""",
        ),
        Example(
            "read at once",
            """
from pathlib import Path

def load(path):
    return Path(path).open().read()
""",
        ),
        Example(
            "a loop",
            """
def names(path):
    return [line.strip() for line in open(path)]
""",
        ),
        Example(
            "a local name",
            """
def write(path, rows):
    file = open(path, "w")
    for row in rows:
        file.write(row)
""",
        ),
        Example(
            "an upload",
            """
import requests

def upload(url, path):
    files = {"file": open(path, "rb")}
    return requests.post(url, files=files, timeout=60)
""",
        ),
    ),
    good=(
        Example(
            "a with statement",
            """
import json

def load(path):
    with open(path) as file:
        return json.load(file)
""",
        ),
        Example(
            "closed in a finally",
            """
def upload(client, paths):
    opened = []
    try:
        for path in paths:
            file = open(path, "rb")
            opened.append(file)
            client.send(file)
    finally:
        for file in opened:
            file.close()
""",
        ),
        Example(
            "made empty",
            """
def touch(path):
    open(path, "w").close()
""",
        ),
        Example(
            "somebody else's then",
            """
import logging

def handler(path):
    return logging.StreamHandler(open(path, "a"))

def binary(path):
    file = open(path, "rb")
    return file
""",
        ),
    ),
)
