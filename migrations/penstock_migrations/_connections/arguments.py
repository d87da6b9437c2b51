"""`Arguments`: whether a call that opens something is given the same each time, so that one pool serves all calls."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Iterator

from penstock_migrations._code.following import Following
from penstock_migrations._code.module import Binding, Module
from penstock_migrations._code.reaching import Reaching, last_name
from penstock_migrations._code.vocabulary import SETTINGS, vocabulary, words
from penstock_migrations._connections.statements import Remark
from penstock_migrations.rule import Fix

__all__ = ["Arguments"]

GIVEN = "the caller says where to connect to: each other address has a pool of its own"
MADE_ANEW = "one of its arguments is made anew for each call, and each other one has a pool of its own"
ELSEWHERE = "one of its arguments is made by code that is not to be seen here: is it the same each time?"
UNHASHABLE = "it is given something that cannot be hashed: such a connection is the driver's own, as it was"
_OWN = "{}= says itself what connections are made of"

# Of an address or a setting, what gives another text that is the same each time.
_TEXT_METHODS = vocabulary(
    "get format replace strip lstrip rstrip lower upper removeprefix removesuffix join split rsplit partition encode"
    " decode get_secret_value render_as_string unicode_string as_posix copy items keys values set"
)
_TEXT_FUNCTIONS = vocabulary(
    "getenv str int float bool quote quote_plus unquote urlparse urlsplit make_url make_conninfo make_dsn dict"
    " conninfo_to_dict url create get_settings get_config"
)
_NAMED = SETTINGS | vocabulary("dsn url uri conninfo env environ address")
_MANY = vocabulary("tenant customer shard workspace")  # an object of these is one of many, each with its own database
_UNHASHABLE = (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MAKERS = frozenset({"dict", "list", "set"})


class Arguments:
    """Reads the arguments of the calls of one module.

    Args:
        names: Follows the module's names.
        given: Returns what callers give for a parameter; None where not all of them are to be seen.
    """

    def __init__(self, names: Reaching, given: Callable[[Binding], list[ast.expr] | None]) -> None:
        self.names = names
        self.module: Module = names.module
        self._given = given
        self._following = Following()

    def remarks(self, call: ast.Call, own: frozenset[str]) -> Iterator[Remark]:
        """Yield what is to be said of a call's arguments.

        Args:
            call: The call.
            own: Keywords by which a program says itself what becomes of its connections.
        """
        for keyword in call.keywords:
            if keyword.arg in own and not _is_none(keyword.value):
                yield Fix.NONE, _OWN.format(keyword.arg)
        values = [one.value if isinstance(one, ast.Starred) else one for one in call.args]
        named = [keyword.value for keyword in call.keywords if keyword.arg is not None]
        spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
        if any(map(self._is_unhashable, (*values, *named, *self._spread_values(spread)))):
            yield Fix.NONE, UNHASHABLE
        for value in (*values, *named, *spread):
            if (reason := self._difference(value)) is not None:
                yield Fix.NONE if reason == MADE_ANEW else Fix.REVIEW, reason

    def _spread_values(self, spread: list[ast.expr]) -> Iterator[ast.expr]:
        for value in spread:
            for one in (value, *self.names.values(value)):
                if isinstance(one, ast.Dict):
                    yield from one.values

    def _is_unhashable(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name) and (found := self.names.values(node)):
            return any(isinstance(one, _UNHASHABLE) for one in found)
        made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MAKERS
        return made or isinstance(node, _UNHASHABLE)

    def _difference(self, node: ast.expr) -> str | None:
        """Say why an expression may be another one at the next call; None if it is the same."""
        return self._following.ask("same", node, lambda: self._difference_of(node), None)

    def _difference_of(self, node: ast.expr) -> str | None:
        match node:
            case ast.Constant():
                return None
            case ast.Name():
                return self._of_name(node)
            case ast.Attribute(value=owner):
                return self._of_attribute(node, owner)
            case ast.Call():
                return self._of_call(node)
            case ast.Lambda():
                return MADE_ANEW
            case ast.Await():
                return MADE_ANEW
            case _:
                parts = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr | ast.keyword)]
                return self._worst(part.value if isinstance(part, ast.keyword) else part for part in parts)

    def _of_name(self, node: ast.Name) -> str | None:
        if node.id in ("self", "cls"):
            around = self.module.class_around(node)
            return GIVEN if around is not None and not _MANY.isdisjoint(words(around.name)) else None
        scope, found = self.module.bindings(node.id, node)
        if scope is None:
            known = node.id in self.module.imports or hasattr(builtins, node.id)
            return None if known or node.id in self.module.names else MADE_ANEW
        if isinstance(scope, ast.Module):
            return None
        return _first(self._of_binding(binding) for binding in found)

    def _of_binding(self, binding: Binding) -> str | None:
        if binding.kind != "parameter":
            return MADE_ANEW if binding.value is None else self._difference(binding.value)
        values = self._given(binding)
        return self._worst(values) if values else GIVEN

    def _of_attribute(self, node: ast.Attribute, owner: ast.expr) -> str | None:
        if self.module.qualified(node) is not None:
            return None
        if isinstance(owner, ast.Name) and not SETTINGS.isdisjoint(words(owner.id)):
            return None
        return self._difference(owner)

    def _of_call(self, node: ast.Call) -> str | None:
        given = self._worst([*node.args, *(keyword.value for keyword in node.keywords)])
        if given is not None:
            return given
        name = last_name(node.func)
        if found := self.names.functions(node):
            returned = [value for function in found for value in self.module.returned_by(function)]
            return self._worst(returned) if returned else MADE_ANEW
        if isinstance(node.func, ast.Attribute) and name in _TEXT_METHODS:
            return self._difference(node.func.value)
        if name in _TEXT_FUNCTIONS:
            return None
        if _NAMED.isdisjoint(words(name)):
            return MADE_ANEW
        return None if isinstance(self.module.parents.get(node), ast.Attribute) else ELSEWHERE

    def _worst(self, nodes: Iterable[ast.expr]) -> str | None:
        return _first(self._difference(node) for node in nodes)


def _first(found: Iterable[str | None]) -> str | None:
    return next((reason for reason in found if reason is not None), None)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (None, False)
