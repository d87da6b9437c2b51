"""Decides how an opening is mended: by the drop-in of the runtime, safely or after review, or not at all."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.patching import patching
from penstock_migrations._code.tree import walk
from penstock_migrations._connections.drop_ins import DropIn, drop_in
from penstock_migrations._connections.engines import Engines
from penstock_migrations._connections.holding import CLOSERS
from penstock_migrations._connections.lending import Lending
from penstock_migrations._connections.openers import Kind, is_file_engine
from penstock_migrations._connections.openings import Opening, Openings
from penstock_migrations._connections.statements import Remark
from penstock_migrations._connections.users import Users
from penstock_migrations.rule import Fix, ReplaceCall, Rewrite

__all__ = ["Decision", "Fixes"]

_PROBE = "it tries whether the server can be reached, which a connection of a pool says nothing of"
_ELSEWHERE = "`{}` may stand for something else here"
_NO_DROP_IN = "there is no drop-in for {}: take connections from a pool that the program makes once"
_DROPS = "the module makes or drops databases, which the connections of a pool would forbid: not the one of this?"
_DATABASE = re.compile(r"\b(CREATE|DROP)\s+DATABASE\b", re.IGNORECASE)
_DROPPING = ("drop_database", "create_database", "dropdb", "createdb")
_FILE = "to open a file is all that connecting costs here"


@dataclass(frozen=True, slots=True)
class Decision:
    """How an opening is mended.

    Attributes:
        fix: How much review the rewrite needs.
        reason: Why it is not rewritten, or what to look at in review.
        rewrites: The rewrite, if there is one.
        helpers: The functions that hand it to their callers, by qualified name.
        is_of_loop: Whether what is opened serves one event loop only.
    """

    fix: Fix
    reason: str | None
    rewrites: tuple[Rewrite, ...] = ()
    helpers: tuple[str, ...] = ()
    is_of_loop: bool = False


class Fixes:
    """Decides for the openings of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.openings = module.analysis(Openings)
        self.users = Users(self.openings)

    def of(self, opening: Opening) -> Decision:
        """Decide for one opening."""
        made = drop_in(opening.opener.name)
        if made is None:
            return Decision(Fix.NONE, _NO_DROP_IN.format(opening.opener.name.rpartition(".")[0] or opening.opener.name))
        if (reason := self._obstacle(opening)) is not None:
            return Decision(Fix.NONE, reason)
        look = self._engine if opening.opener.kind is Kind.ENGINE else self._connection
        return self._decided(opening, made, look)

    def _decided(
        self, opening: Opening, made: DropIn, look: Callable[[Opening, DropIn], tuple[list[Remark], list[Function]]]
    ) -> Decision:
        remarks, helpers = look(opening, made)
        remarks = [*remarks, *self._of_module]
        fix, reason = _worst(remarks)
        if fix is Fix.NONE:
            return Decision(fix, reason)
        call = opening.opener.call
        place = (call.lineno, self.module.character_column(call))
        names = tuple(name for one in helpers if (name := self.module.qualname(one)) is not None)
        return Decision(fix, reason, (ReplaceCall(*place, made.callee, (), made.module),), names, made.asynchronous)

    @cached_property
    def _of_module(self) -> list[Remark]:
        """What speaks against a rewrite anywhere in the module."""
        texts = (node.value for node in walk(self.module.tree) if isinstance(node, ast.Constant))
        drops = any(isinstance(text, str) and _DATABASE.search(text) for text in texts)
        found = [(Fix.REVIEW, _DROPS)] if drops or self.module.calls_of(*_DROPPING) else []
        return [*found, *((Fix.REVIEW, reason) for reason in patching(self.module))]

    def _obstacle(self, opening: Opening) -> str | None:
        func = opening.opener.call.func
        if self.module.qualified(func) != opening.opener.name or not self._is_certain(func):
            return _ELSEWHERE.format(ast.unparse(func))
        if (opening.operations and opening.advice) or self._is_unused(opening):
            return _PROBE
        if opening.opener.kind is Kind.ENGINE and is_file_engine(self.module, opening.opener):
            return _FILE
        return None

    def _is_unused(self, opening: Opening) -> bool:
        """Say whether a connection is opened and closed, and nothing else: to see whether that can be done."""
        node: ast.AST = opening.opener.call
        while isinstance(parent := self.module.parents[node], ast.Await):
            node = parent
        match parent:
            case ast.withitem(optional_vars=None):
                block = self.module.parents[parent]
                return isinstance(block, ast.With | ast.AsyncWith) and not _works(block)
            case ast.Assign(targets=[ast.Name(id=name)]):
                uses = [one for one in walk(opening.function) if isinstance(one, ast.Name) and one.id == name]
                owners = [self.module.parents[one] for one in uses if isinstance(one.ctx, ast.Load)]
                return all(isinstance(one, ast.Attribute) and one.attr in CLOSERS for one in owners)
            case _:
                return False

    def _is_certain(self, func: ast.expr) -> bool:
        """Say whether a name stands for the library, or for a constant where that is not installed: None, False."""
        if self.module.is_certain(func):
            return True
        root = func
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id in self.module.reimported:
            return False
        _, found = self.module.bindings(root.id, root)
        return all(isinstance(one.value, ast.Constant) for one in found)

    def _connection(self, opening: Opening, made: DropIn) -> tuple[list[Remark], list[Function]]:
        lending = Lending(self.users, made)
        lending.follow(opening)
        return lending.remarks, lending.helpers

    def _engine(self, opening: Opening, made: DropIn) -> tuple[list[Remark], list[Function]]:
        engines = Engines(self.users, made)
        engines.follow(opening)
        return engines.remarks, engines.helpers


def _works(block: ast.With | ast.AsyncWith) -> bool:
    """Say whether anything but a result is in a block; a context manager's yield hands on what it holds."""
    nodes = [node for one in block.body for node in (one, *walk(one))]
    return any(isinstance(node, ast.Call | ast.Await | ast.Yield | ast.YieldFrom) for node in nodes)


def _worst(remarks: Sequence[Remark]) -> Remark | tuple[Fix, None]:
    """Return the first remark that forbids the rewrite, else the first that asks for a review."""
    for fix in (Fix.NONE, Fix.REVIEW):
        for remark in remarks:
            if remark[0] is fix:
                return remark
    return Fix.SAFE, None
