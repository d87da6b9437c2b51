"""`add_import`: write `import NAME` once, where the file's own order of imports wants it."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import libcst as cst
from libcst import matchers

from penstock_migrations._rewriting.source_text import RewriteError

__all__ = ["add_import", "after_docstring", "binds", "first_party_names"]

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
Group = list[int]

_END_OF_IMPORTS = (cst.FunctionDef, cst.ClassDef, cst.For, cst.While)


def first_party_names(file: Path) -> frozenset[str]:
    """Return the names of the modules and packages that lie beside the file's top-level package."""
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    try:
        return frozenset(entry.stem for entry in folder.iterdir() if entry.is_dir() or entry.suffix == ".py")
    except OSError:
        return frozenset()


def binds(tree: ast.Module, name: str) -> bool:
    """Say whether a file gives a name a meaning other than the module of that name."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=found, ctx=ast.Store() | ast.Del()) | ast.arg(arg=found):
                pass
            case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found) | ast.ClassDef(name=found):
                pass
            case ast.ExceptHandler(name=found) | ast.MatchAs(name=found) | ast.MatchStar(name=found):
                pass
            case ast.Import(names=aliases):
                found = name if any(alias.asname == name for alias in aliases) else None
            case ast.ImportFrom(names=aliases):
                found = name if any((alias.asname or alias.name) == name for alias in aliases) else None
            case _:
                continue
        if found == name:
            return True
    return False


def add_import(tree: cst.Module, name: str, first_party: frozenset[str] = frozenset()) -> cst.Module:
    """Return the module with `import name` at its top level; the same module if it is there.

    It goes among the third-party imports, in alphabetical order; without any, into a group of its own after the
    standard library's and before the project's.

    Args:
        tree: The module.
        name: The module to import: `penstock_limits`, `penstock_pooling.psycopg`.
        first_party: The project's own top-level names.

    Raises:
        RewriteError: The name is used on the line of the docstring.
    """
    body = list(tree.body)
    top = name.partition(".")[0]
    unused = itertools.takewhile(lambda statement: not _uses(statement, top), body)
    if any(name in _plainly_imported(statement) for statement in unused):
        return tree
    if after_docstring(body) and _uses(body[0], top):
        raise RewriteError("the docstring is followed by code on its line: give that a line of its own before")
    groups = _groups(body, top)
    kinds = [{_kind(body[index], first_party) for index in group} for group in groups]
    shared = next((at for at, kind in enumerate(kinds) if "third" in kind or kind >= {"standard", "own"}), None)
    if shared is not None:
        _insert_sorted(body, groups[shared], name)
    else:
        before = [group[-1] for group, kind in zip(groups, kinds, strict=True) if "own" not in kind]
        _insert_group(body, before[-1] + 1 if before else after_docstring(body), name)
    return tree.with_changes(body=body)


def _groups(body: Sequence[Statement], name: str) -> list[Group]:
    """Return the runs of import lines without a blank line in them, up to the first definition or use of a name."""
    groups: list[Group] = []
    for index, statement in enumerate(body):
        if isinstance(statement, _END_OF_IMPORTS) or _uses(statement, name):
            break
        if not _imports(statement):
            continue
        adjacent = groups and groups[-1][-1] == index - 1 and not _blank_before(statement)
        if adjacent and not _is_future(body[index - 1]):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _imports(statement: Statement) -> list[cst.Import | cst.ImportFrom]:
    if not isinstance(statement, cst.SimpleStatementLine):
        return []
    return [each for each in statement.body if isinstance(each, cst.Import | cst.ImportFrom)]


def _uses(statement: Statement, name: str) -> bool:
    """Say whether a statement uses a name, other than by importing it."""
    parts: Sequence[cst.CSTNode] = [statement]
    if isinstance(statement, cst.SimpleStatementLine):
        parts = [each for each in statement.body if not isinstance(each, cst.Import | cst.ImportFrom)]
    return any(matchers.findall(part, matchers.Name(name)) for part in parts)


def _plainly_imported(statement: Statement) -> list[str]:
    imports = [each for each in _imports(statement) if isinstance(each, cst.Import)]
    return [alias.evaluated_name for each in imports for alias in each.names if alias.asname is None]


def _is_future(statement: Statement) -> bool:
    return any(isinstance(each, cst.ImportFrom) and _module_of(each) == "__future__" for each in _imports(statement))


def _kind(statement: Statement, first_party: frozenset[str]) -> str:
    first = _imports(statement)[0]
    if isinstance(first, cst.ImportFrom) and (first.relative or first.module is None):
        return "own"
    top = _module_of(first).partition(".")[0]
    if top in sys.stdlib_module_names:  # __future__ is one of them
        return "standard"
    return "own" if top in first_party else "third"


def _module_of(statement: cst.Import | cst.ImportFrom) -> str:
    if isinstance(statement, cst.Import):
        return statement.names[0].evaluated_name
    node: cst.BaseExpression | None = statement.module
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else ""


def _insert_sorted(body: list[Statement], group: Group, name: str) -> None:
    """Insert after the last plain import that sorts before; plain imports go before from-imports."""
    earlier = [at for at in group if any(other.lower() < name for other in _plainly_imported(body[at]))]
    if earlier:
        body.insert(earlier[-1] + 1, _line(name))
        return
    at = group[0]
    blank, rest = _split_leading(body[at])
    body[at] = body[at].with_changes(leading_lines=rest)
    body.insert(at, _line(name, blank))


def _insert_group(body: list[Statement], at: int, name: str) -> None:
    """Insert a group of its own, a blank line around it."""
    if at < len(body) and not _blank_before(body[at]):
        following = body[at]
        body[at] = following.with_changes(leading_lines=[cst.EmptyLine(indent=False), *_leading(following)])
    body.insert(at, _line(name, [cst.EmptyLine(indent=False)] if at else []))


def after_docstring(body: Sequence[cst.BaseStatement]) -> int:
    """Return the place of the first statement after the docstring."""
    if body and isinstance(body[0], cst.SimpleStatementLine) and isinstance(body[0].body[0], cst.Expr):
        return int(isinstance(body[0].body[0].value, cst.SimpleString | cst.ConcatenatedString))
    return 0


def _line(name: str, leading: Sequence[cst.EmptyLine] = ()) -> cst.SimpleStatementLine:
    statement = cst.parse_statement(f"import {name}")
    return cst.ensure_type(statement, cst.SimpleStatementLine).with_changes(leading_lines=leading)


def _leading(statement: Statement) -> Sequence[cst.EmptyLine]:
    lines: Sequence[cst.EmptyLine] = getattr(statement, "leading_lines", ())
    return lines


def _blank_before(statement: Statement) -> bool:
    return any(line.comment is None for line in _leading(statement))


def _split_leading(statement: Statement) -> tuple[list[cst.EmptyLine], list[cst.EmptyLine]]:
    """Part the blank lines above a statement from the comments that belong to it."""
    lines = list(_leading(statement))
    comments = [at for at, line in enumerate(lines) if line.comment is not None]
    cut = comments[0] if comments else len(lines)
    return lines[:cut], lines[cut:]
