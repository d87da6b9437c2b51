"""What a reader does: follow one page from top to bottom, in a folder of their own."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml
from penstock_limits import ConcurrencyConfig
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.codemod import plan

from tests.docs.pages import NOT_RUN, ROOT, Block

IGNORED = (
    ".git",
    ".nox",
    ".venv",
    ".*cache",
    ".hypothesis",
    "__pycache__",
    "site",
    "*.egg-info",
    "node_modules",
    "build",
    "dist",
)
EXIT_STATUS = re.compile(r"^\(exit status (\d+)\)$")
LANGUAGES = {"bash", "console", "diff", "json", "python", "text", "toml", "yaml"}
FINDS = "finds "
FRAGMENT = "a fragment"
FOREIGN = ("PENSTOCK_", "PYTEST_", "NOX_", "UV_PROJECT", "VIRTUAL_ENV")
TIMEOUT = 1800  # seconds; against a hang, not a measure


class Session:
    """A folder in which the blocks of one page are done in their order.

    The README of a package is read by people who installed it: they begin with an empty folder. Everything else is
    read in a checkout.

    Args:
        page: The page, a POSIX path relative to the project.
        folder: Where it goes; it must not exist.
    """

    def __init__(self, page: str, folder: Path) -> None:
        if page.endswith("/README.md"):
            folder.mkdir()
        else:
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*IGNORED), symlinks=True)
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PENSTOCK_CACHE_DIR": str(folder / ".cache"),
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }

    def do(self, block: Block) -> None:
        """Do what a block says, and fail if it does not turn out as the page says."""
        assert block.language in LANGUAGES, f"{block}: {block.language or 'no language'}; known are {LANGUAGES}"
        if not block.title.startswith(NOT_RUN) and block.language != "text":
            getattr(self, f"_do_{block.language}")(block)

    def _do_python(self, block: Block) -> None:
        if block.title.startswith(FINDS):
            self._audit(block)
            return
        if block.title == FRAGMENT:  # of a coroutine that the reader has
            compile("async def fragment():\n" + textwrap.indent(block.source, "    "), str(block), "exec")
            return
        program = self._write(block.title or "block/program.py", block.source)
        if block.title:  # a command further down runs it
            return
        expected = re.findall(r"^ *# -> (.*)\n", block.source, flags=re.MULTILINE)
        result = self._run([sys.executable, "-u", "-W", "error", str(program)])
        if result.returncode:
            pytest.fail(f"{block}:\n{result.stdout}{result.stderr}", pytrace=False)
        if expected:
            assert_same(block, expected, result.stdout.splitlines())

    def _do_console(self, block: Block) -> None:
        commands = re.split(r"^\$ ", block.source, flags=re.MULTILINE)
        assert not commands[0], f"{block}: a console block begins with `$ `"
        for each in commands[1:]:
            command, *expected = each.splitlines()
            while command.endswith("\\"):
                command = f"{command[:-1]}{expected.pop(0).strip()}"
            self._check(block, command, expected)

    def _do_bash(self, block: Block) -> None:
        path = (
            f"{self._bare_python()}{os.pathsep}{self.environment['PATH']}" if block.slow else self.environment["PATH"]
        )
        result = self._run(["bash", "-euo", "pipefail", "-c", block.source], PATH=path)
        if result.returncode:
            pytest.fail(f"{block}: exit status {result.returncode}\n{result.stdout}{result.stderr}", pytrace=False)

    def _bare_python(self) -> Path:
        """Return the folder of programs of a machine with Python and pip and nothing else."""
        machine = self.folder / ".machine"
        if not machine.exists():
            subprocess.run([sys.executable, "-m", "venv", str(machine)], check=True)
        return machine / "bin"

    def _do_toml(self, block: Block) -> None:
        tables = tomllib.loads(block.source)
        name = block.title or f"block/{'pyproject' if tables.keys() & {'project', 'tool'} else 'penstock'}.toml"
        path = self._write(name, block.source)
        if path.name in {"pyproject.toml", "penstock.toml"}:
            ConcurrencyConfig.load(path)
            Settings.load(path)

    def _do_json(self, block: Block) -> None:
        json.loads(block.source)
        self._write(block.title or "block/document.json", block.source)

    def _do_yaml(self, block: Block) -> None:
        yaml.safe_load(block.source)
        self._write(block.title or "block/document.yaml", block.source)

    def _do_diff(self, block: Block) -> None:
        """The codemod makes the second half of the diff of the first; a diff with a name is for a command to apply."""
        if block.title:
            self._write(block.title, block.source)
            return
        lines = [line for line in block.source.splitlines() if not line.startswith(("--- ", "+++ ", "@@ "))]
        before = [line[1:] for line in lines if not line.startswith("+")]
        after = [line[1:] for line in lines if not line.startswith("-")]
        program = self._write("block/program.py", "\n".join(before) + "\n")
        for edit in plan([program], Settings(), review=True).edits:
            edit.file.write_bytes(edit.after)
        assert_same(block, after, program.read_text(encoding="utf-8").splitlines())

    def _audit(self, block: Block) -> None:
        """The audit finds in a block what its title says: a code, `nothing`, or `nothing of issue 4`."""
        program = self._write("block/example.py", block.source)
        said, _, issue = block.title.removeprefix(FINDS).partition(" of issue ")
        issue = said[3] if said.startswith("PEN") else issue
        found = {one.code for one in audit([program], Settings(select=(issue,) if issue else ())).findings}
        assert found == {said} - {"nothing"}, f"{block}: finds {found or 'nothing'}"

    def _check(self, block: Block, command: str, expected: list[str]) -> None:
        expected = [line for line in expected if line.strip()]
        status = EXIT_STATUS.match(expected[-1]) if expected else None
        if status is not None:
            expected.pop()
        result = self._run(["bash", "-c", command])
        if result.returncode != int(status[1] if status else 0):
            pytest.fail(
                f"{block}: $ {command}: exit status {result.returncode}\n{result.stdout}{result.stderr}", pytrace=False
            )
        if expected:
            assert_same(block, expected, (result.stdout + result.stderr).splitlines())

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )


def assert_same(block: Block, expected: list[str], actual: list[str]) -> None:
    """Compare lines; `...` in what a page shows stands for anything, alone on a line for any lines."""
    wanted = [line.rstrip() for line in expected if line.strip()]
    given = [line.rstrip() for line in actual if line.strip()]
    pattern = "".join(r"(?:.*\n)*" if line.strip() == "..." else _pattern(line) for line in wanted)
    if not re.fullmatch(pattern, "".join(f"{line}\n" for line in given)):
        difference = difflib.unified_diff(wanted, given, "the page", "what happens", lineterm="")
        pytest.fail(f"{block}:\n" + "\n".join(difference), pytrace=False)


def _pattern(line: str) -> str:
    return re.escape(line).replace(re.escape("..."), ".*") + r"\n"
