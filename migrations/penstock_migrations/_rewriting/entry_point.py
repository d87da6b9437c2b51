"""Where an application starts, and the line that lets the flags decide the mode there."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import libcst as cst

from penstock_migrations._rewriting.imports import add_import, after_docstring, binds
from penstock_migrations._rewriting.project import read_toml
from penstock_migrations._rewriting.rewrite import parse
from penstock_migrations._rewriting.source_text import RewriteError, SourceText

__all__ = [
    "MODE_SOURCE",
    "EntryPoint",
    "add_mode_source",
    "entry_point",
    "of_application",
    "parsed",
    "sets_mode_source",
]

MODE_SOURCE = "penstock_limits.set_mode_source(penstock_flags.open())"

_MODULES = ("penstock_flags", "penstock_limits")
_NO_APPLICATION = frozenset({"tests", "test", "testing", "examples", "example", "docs", "scripts", "benchmarks"})

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A place at which a program starts.

    Attributes:
        file: Its file.
        function: The function that is called; None for the module itself.
    """

    file: Path
    function: str | None = None


def entry_point(root: Path, files: Sequence[Path]) -> EntryPoint:
    """Find the one place at which an application starts.

    In this order: the functions that the project's scripts name, its `__main__.py`, its one file with
    `if __name__ == "__main__":`. Tests, examples and scripts beside the application do not count.

    Args:
        root: The project's root.
        files: Its Python files.

    Raises:
        RewriteError: There is none, or more than one; the message names them.
    """
    candidates = of_application(root, files)
    choices = (
        sorted(set(_script_targets(root)), key=str),
        [EntryPoint(file) for file in candidates if file.name == "__main__.py"],
        [EntryPoint(file) for file in candidates if _has_main_block(file)],
    )
    found = next((choice for choice in choices if choice), [])
    if not found:
        raise RewriteError("no entry point was found")
    if len(found) > 1:
        names = ", ".join(_described(each, root) for each in found[:5]) + (", ..." if len(found) > 5 else "")
        raise RewriteError(f"{len(found)} entry points were found: {names}")
    return found[0]


def sets_mode_source(root: Path, files: Iterable[Path]) -> Path | None:
    """Return the first file of the application that calls `set_mode_source`, None if no file does."""
    for file in of_application(root, files):
        tree = parsed(file, b"set_mode_source")
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("set_mode_source"):
                return file
    return None


def add_mode_source(source: bytes, function: str | None, first_party: frozenset[str]) -> bytes:
    """Return a file's bytes with the mode source set as the first thing that its entry point does.

    Args:
        source: The file's bytes.
        function: The function at which the program starts; None for the module.
        first_party: The project's own top-level names, to place the imports.

    Raises:
        RewriteError: The line cannot be placed.
    """
    text = SourceText.decode(source)
    tree = parse(text.text)
    for module in _MODULES:
        if binds(ast.parse(text.text), module):
            raise RewriteError(f"the name {module} means something else in this file")
    for module in _MODULES:
        tree = add_import(tree, module, first_party)
    tree = tree.with_changes(body=_placed(list(tree.body), function))
    return text.encode_valid(tree.code)


def of_application(root: Path, files: Iterable[Path]) -> list[Path]:
    """Return those of the files that are no tests, examples or scripts beside the application."""
    return [each for each in files if _is_of_application(each.relative_to(root))]


def _is_of_application(file: PurePath) -> bool:
    is_test = file.name == "conftest.py" or file.name.startswith("test_") or file.name.endswith("_test.py")
    return not is_test and not _NO_APPLICATION.intersection(file.parts[:-1])


def _described(each: EntryPoint, root: Path) -> str:
    name = each.file.relative_to(root).as_posix()
    return name if each.function is None else f"{name}:{each.function}"


def _script_targets(root: Path) -> list[EntryPoint]:
    """Return the functions that the project's scripts name and that its own files define."""
    document = read_toml(root / "pyproject.toml")
    project, poetry = document.get("project", {}), document.get("tool", {}).get("poetry", {})
    tables = [project.get("scripts"), project.get("gui-scripts"), poetry.get("scripts")]
    targets = [target for table in tables if isinstance(table, dict) for target in table.values()]
    for file in root.glob("*.dist-info/entry_points.txt"):
        targets += _console_scripts(file)
    places = [_place_of(root, target) for target in targets if isinstance(target, str)]
    return [place for place in places if place is not None]


def _console_scripts(file: Path) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return []
    return [target for _, target in parser.items("console_scripts")] if "console_scripts" in parser else []


def _place_of(root: Path, target: str) -> EntryPoint | None:
    module, _, function = target.partition(":")
    relative = Path(*module.strip().split("."))
    for base in (root, root / "src"):
        for file in (base / relative.with_suffix(".py"), base / relative / "__init__.py"):
            if file.is_file():
                return EntryPoint(file, function.partition("[")[0].strip() or None)
    return None


def parsed(file: Path, needed: bytes) -> ast.Module | None:
    """Return a file's tree if its source has some bytes; None if not, or if it cannot be read or parsed."""
    try:
        source = file.read_bytes()
        return ast.parse(source) if needed in source else None
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _has_main_block(file: Path) -> bool:
    tree = parsed(file, b"__main__")
    return tree is not None and any(map(_is_main_block, tree.body))


def _is_main_block(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _placed(body: list[Statement], function: str | None) -> list[Statement]:
    for index, statement in enumerate(body):
        if _starts(statement, function):
            body[index] = _with_first(statement)
            return body
    if function is not None:
        raise RewriteError(f"{function} is no function that this file defines")
    at = _after_imports(body)
    body.insert(at, _line().with_changes(leading_lines=[cst.EmptyLine(indent=False)]))
    return body


def _starts(statement: Statement, function: str | None) -> bool:
    if function is not None:
        return isinstance(statement, cst.FunctionDef) and statement.name.value == function
    if not isinstance(statement, cst.If):
        return False
    return _is_main_block(ast.parse(f"if {cst.Module([]).code_for_node(statement.test)}: pass").body[0])


def _with_first(statement: Statement) -> Statement:
    """Put the line first in a block, after its docstring."""
    block = statement.body
    if not isinstance(block, cst.IndentedBlock):
        raise RewriteError("the entry point's body stands on one line")
    lines = list(block.body)
    at = after_docstring(lines)
    lines.insert(at, _line())
    return statement.with_changes(body=block.with_changes(body=lines))


def _after_imports(body: Sequence[Statement]) -> int:
    """Return the place after the last import of a module that is nothing but a start."""
    at = 0
    for index, statement in enumerate(body):
        line = statement.body if isinstance(statement, cst.SimpleStatementLine) else ()
        if any(isinstance(each, cst.Import | cst.ImportFrom) for each in line):
            at = index + 1
    return at


def _line() -> cst.SimpleStatementLine:
    return cst.SimpleStatementLine([cst.Expr(cst.parse_expression(MODE_SOURCE))])
