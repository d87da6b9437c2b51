"""A small agents project to migrate, and findings made by hand."""

import ast
from collections.abc import Mapping
from pathlib import Path

from penstock_migrations.rule import Finding, Fix, ReplaceCall, Severity, UnwrapCall

FAN_OUT = '''\
"""Research."""

import asyncio


async def read(document):
    await asyncio.sleep(0)
    return len(document)


async def read_all(documents):
    return await asyncio.gather(*[read(document) for document in documents])
'''

MAIN = '''\
"""The program."""

import asyncio

from penstock_monitoring import ConcurrencyMonitor

from agents.research import read_all


async def watched():
    """Show what it does while it runs."""
    async with ConcurrencyMonitor(page=0):
        return await read_all(["a", "bb"])


def main():
    """Run it."""
    print(asyncio.run(watched()))
'''

PYPROJECT = """\
[project]
name = "agents"
version = "1"
requires-python = ">=3.11"
dependencies = [
    "httpx>=0.27", # the provider
    "penstock-monitoring",
]

[project.scripts]
agents = "agents.main:main"
"""

TESTS = """\
import asyncio
import unittest

from agents.research import read_all


class Research(unittest.TestCase):
    def test_reads_all(self):
        self.assertEqual(asyncio.run(read_all(["a", "bb"])), [1, 2])
"""

NAMES = {
    "PEN101": "unbounded-gather",
    "PEN102": "unbounded-task-loop",
    "PEN201": "connection-per-operation",
    "PEN301": "unowned-thread",
}

# Other plugins would take longer to load than the tests to run.
TEST_COMMAND = ("--test-command", "python -m pytest -q --disable-plugin-autoload -p penstock_guard.plugin tests")


def make_project(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Write the project into a folder, some files replaced or added."""
    content = {
        "pyproject.toml": PYPROJECT,
        "agents/__init__.py": "",
        "agents/main.py": MAIN,
        "agents/research.py": FAN_OUT,
        "tests/test_research.py": TESTS,
    }
    for name, text in (content | dict(files or {})).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return every file's content, so that a test can say that nothing has changed."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def finding(*rewrites, path="agents/research.py", line=1, code="PEN101", fix=Fix.SAFE, severity=Severity.HIGH, **more):
    """Return a finding with these rewrites."""
    facts = {"function": None, "fix_reason": None, "sha256": "", **more}
    return Finding(
        code=code,
        name=NAMES[code],
        issue=int(code[3]),
        phase=1,
        path=path,
        line=line,
        end_line=line,
        column=1,
        severity=severity,
        message="",
        fix=fix,
        fingerprint="",
        rewrites=rewrites,
        **facts,
    )


def bound_gathers(source: str) -> Finding:
    """Return a finding that limits every gather of a source, and unwraps every create_task."""
    rewrites = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func).rpartition(".")[2]
        column = len(source.splitlines()[call.lineno - 1].encode()[: call.col_offset].decode())
        if name == "gather":
            rewrites.append(ReplaceCall(call.lineno, column, "penstock_limits.gather", (("limit", '"api_call"'),)))
        elif name == "create_task":
            rewrites.append(UnwrapCall(call.lineno, column))
    return finding(*rewrites)
