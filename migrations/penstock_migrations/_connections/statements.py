"""`Statements`: what the SQL of an operation does to its session, as far as it is written where it can be read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from penstock_migrations._code.module import Binding, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import vocabulary, words
from penstock_migrations.rule import Fix

__all__ = ["UNSEEN", "Remark", "Statements"]

Remark = tuple[Fix, str]

UNSEEN = "it runs statements that are not written here, and what they leave in the session is not to be seen"
_SETTINGS = "it changes settings of the session"
# What a session keeps when the statement is done, or what no shared session can serve; the first that fits counts.
_EFFECTS: tuple[tuple[re.Pattern[str], Remark], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), (fix, reason))
    for pattern, fix, reason in (
        (r"^(UN)?LISTEN\b", Fix.NONE, "it listens, which ties it to one session"),
        (
            r"^(START_REPLICATION|CREATE_REPLICATION_SLOT|IDENTIFY_SYSTEM)\b",
            Fix.NONE,
            "it replicates, which ties it to one session",
        ),
        (
            r"^(CREATE|DROP|ALTER)\s+(DATABASE|TABLESPACE|ROLE|USER|SUBSCRIPTION|PUBLICATION)\b|^ALTER\s+SYSTEM\b",
            Fix.NONE,
            "it sets up the server itself, which is done once, by a connection of its own",
        ),
        (
            r"^(VACUUM|REINDEX|CLUSTER)\b|^(CREATE|DROP)\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY\b",
            Fix.NONE,
            "it maintains tables outside of transactions, for long",
        ),
        (
            r"\bpg_(try_)?advisory_lock(_shared)?\s*\(",
            Fix.NONE,
            "it takes an advisory lock of the session, which the next borrower would hold",
        ),
        (
            r"^(SET|RESET)\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)",
            Fix.NONE,
            _SETTINGS,
        ),
        (
            r"^(DO|CALL)\b|\bdblink_connect\b|\bsetseed\s*\(|\blo_open\s*\(",
            Fix.REVIEW,
            "it runs a procedure, or what else may leave something in the session",
        ),
        (
            r"^CREATE\s+((GLOBAL|LOCAL)\s+)?TEMP(ORARY)?\b|\bINTO\s+TEMP(ORARY)?\b",
            Fix.REVIEW,
            "it makes a temporary table: is it dropped before the connection is given back?",
        ),
        (
            r"^(PREPARE|DISCARD|LOAD)\b|\bWITH\s+HOLD\b",
            Fix.REVIEW,
            "it leaves a prepared statement, a library or a cursor in the session",
        ),
        (
            r"^(ALTER|DROP)\b",
            Fix.REVIEW,
            "it changes the schema: statements that pooled connections have prepared may be outdated",
        ),
    )
)
_SET_CONFIG = re.compile(r"\bset_config\s*\(", re.IGNORECASE)
_TRUE = re.compile(r"\s*'?(t|true)'?(::bool(ean)?)?\s*", re.IGNORECASE)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TEXT_CALLS = frozenset({"SQL", "text", "dedent", "cleandoc", "Composed"})
_TEXT_METHODS = frozenset({"format", "strip", "lstrip", "rstrip", "replace", "join", "format_map"})
_BUILDERS = frozenset({"select", "insert", "update", "delete", "union", "union_all", "exists"})
_TELLING = vocabulary("schema migration ddl setup lock listen session set init bootstrap")
_DEEP = 4

Given = Callable[[Binding], list[ast.expr] | None]


class Statements:
    """Reads the statements of one module.

    Args:
        module: The module.
        given: Returns what callers give for a parameter; None where not all of them are to be seen.
    """

    def __init__(self, module: Module, given: Given) -> None:
        self.module = module
        self._given = given

    def remarks(self, statement: ast.expr) -> Iterator[Remark]:
        """Yield what is to be said of a statement that is run."""
        texts = self._texts(statement, _DEEP)
        if texts is None:
            yield Fix.REVIEW, UNSEEN
        for text in texts or ():
            yield from effects(text)

    def _texts(self, node: ast.expr, deep: int) -> list[str] | None:
        """Return the texts that an expression may be, with `?` for what is filled in; None where it cannot be told."""
        match node:
            case _ if not deep:
                return None
            case ast.Constant(value=str() as text):
                return [text]
            case ast.JoinedStr(values=parts):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in parts)
                return None if text.lstrip().startswith("?") else [text]
            case ast.BinOp(left=left, op=ast.Mod()):
                return self._texts(left, deep)
            case ast.BinOp(left=left, right=right, op=ast.Add()):
                return self._joined(self._texts(left, deep), self._texts(right, deep))
            case ast.IfExp(body=body, orelse=orelse):
                return self._all([body, orelse], deep)
            case ast.Call():
                return self._made(node, deep)
            case ast.Name() | ast.Attribute():
                return self._named(node, deep)
            case _:
                return None

    def _made(self, node: ast.Call, deep: int) -> list[str] | None:
        match node:
            case _ if _is_built(node):
                return [self._built(node)]
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in _TEXT_METHODS:
                return self._texts(owner, deep)
            case ast.Call(args=[inner, *_]) if last_name(node.func) in _TEXT_CALLS:
                return self._texts(inner, deep)
            case _:
                return None

    def _built(self, node: ast.Call) -> str:
        """Return what a statement is put together of, with what the names in it are bound to: functions are seen."""
        names = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
        bound = [one.value for name in names for one in self.module.bindings(name.id, name)[1]]
        return " ".join(ast.unparse(one) for one in (node, *bound) if one is not None).replace(";", " ")

    def _named(self, node: ast.Name | ast.Attribute, deep: int) -> list[str] | None:
        found = self._bindings(node)
        if not found:
            return self._constant(node)
        texts: list[str] = []
        for binding in found:
            values = self._given(binding) if binding.kind == "parameter" else [binding.value]
            if values is None or binding.path or binding.kind not in ("parameter", "value", "items"):
                return None
            some = self._all([value for value in values if value is not None], deep - 1)
            if binding.kind == "items":
                some = [f"? {text}" for text in some or ()]  # added to what stands there
            if some is None:
                return None
            texts += some
        return texts

    def _bindings(self, node: ast.Name | ast.Attribute) -> list[Binding]:
        match node:
            case ast.Name(id=name):
                return self.module.bindings(name, node)[1]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return self.module.attribute_bindings(name, node) or self._of_class(name, node)
            case _:
                return []

    def _of_class(self, name: str, node: ast.expr) -> list[Binding]:
        around = self.module.class_around(node)
        return [
            Binding("value", one, one.value)
            for one in (around.body if around is not None else ())
            if isinstance(one, ast.Assign) and any(last_name(target) == name for target in one.targets)
        ]

    def _constant(self, node: ast.Name | ast.Attribute) -> list[str] | None:
        """Take a constant of another module for a quiet one, unless its name tells otherwise."""
        name = last_name(node)
        return [""] if name.isupper() and _TELLING.isdisjoint(words(name)) else None

    def _all(self, nodes: list[ast.expr], deep: int) -> list[str] | None:
        found = [self._texts(node, deep) for node in nodes]
        return None if None in found else [text for texts in found if texts for text in texts]

    def _joined(self, left: list[str] | None, right: list[str] | None) -> list[str] | None:
        return None if left is None else [first + second for first in left for second in right or ["?"]]


def _is_built(node: ast.expr) -> bool:
    """Say whether a statement is put together by SQLAlchemy: `select(Item).where(...)`."""
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in _BUILDERS
        owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        if last_name(node.func) in _BUILDERS and isinstance(owner, ast.Name):
            return True
        node = owner
    return False


def effects(text: str) -> Iterator[Remark]:
    """Yield what the statements of a text leave behind, or need."""
    for statement in _COMMENTS.sub(" ", text).split(";"):
        if any(not _is_local(statement, match.end()) for match in _SET_CONFIG.finditer(statement)):
            yield Fix.NONE, _SETTINGS
        for pattern, remark in _EFFECTS:
            if pattern.search(statement.strip()):
                yield remark
                break


def _is_local(statement: str, start: int) -> bool:
    """Say whether a call of `set_config`, whose arguments start at a place, is for the transaction alone."""
    deep, last = 1, start
    for place in range(start, len(statement)):
        deep += {"(": 1, ")": -1}.get(statement[place], 0)
        if statement[place] == "," and deep == 1:
            last = place + 1
        if not deep:
            return _TRUE.fullmatch(statement[last:place]) is not None
    return False
