"""`Purposes`: what a function is for, as far as it may open a connection of its own: set-up, schema, listening."""

from __future__ import annotations

import ast
import re

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes, start_of
from penstock_migrations._code.vocabulary import vocabulary, words

__all__ = ["Purposes"]

_SETUP = vocabulary(
    "init initialise initialize setup connect reconnect open start startup lifespan bootstrap configure prepare warmup"
    " migrate migration upgrade downgrade install provision seed boot teardown"
)
_SCHEMA = vocabulary("ddl migration migrate bootstrap")
_CREATE = vocabulary("create ensure init initialize drop setup")
_CREATED = vocabulary("table database index schema extension collection db keyspace")
_PROBE = vocabulary("ping health healthcheck healthy probe check test verify validate reachable available")
_OBJECT = vocabulary(
    "__init__ __new__ __post_init__ __enter__ __aenter__ __init_subclass__ __attrs_post_init__ __setstate__"
    " __set_name__ model_post_init init_app set_up setUp asyncSetUp setUpClass tearDown tearDownClass __del__"
)
_CACHES = frozenset({"cache", "cached", "lazy", "singleton", "memoize", "memoized", "memoise", "once", "resource"})
_COMMANDS = frozenset({"command", "callback", "group", "cli", "fixture", "hookimpl", "argument", "option"})
# What works for long on one connection.
_LASTING = vocabulary(
    "worker listen listener notify forever daemon consumer subscriber subscribe watch watcher replication"
)
_SQL = re.compile(r"\s*(?:--.*\s*)*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|REPLACE|UPSERT|CALL)\b", re.IGNORECASE)
_DDL = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*(?:CREATE|DROP|COMMENT|GRANT|TRUNCATE|ALTER(?!\s+(?:SESSION|SYSTEM)))\s", re.IGNORECASE
)
_BOOTSTRAP = re.compile(
    r"\s*(CREATE|DROP|ALTER)\s+(DATABASE|ROLE|USER|EXTENSION|PUBLICATION|KEYSPACE)\b", re.IGNORECASE
)
_LISTEN = re.compile(r"\s*(LISTEN|UNLISTEN|START_REPLICATION)\b")
_LISTENERS = frozenset(
    {"add_listener", "pubsub", "notifies", "start_replication", "create_replication_slot", "monitor"}
)
_METADATA = frozenset({"create_all", "drop_all"})
_WORK = frozenset(
    {"execute", "executemany", "fetch", "fetchval", "fetchrow", "query", "add", "scalars", "scalar", "commit"}
)


class Purposes:
    """Answers what the functions of one module are for."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def is_cached(self, function: Function) -> bool:
        """Say whether a decorator keeps what the function returns."""
        named = [last_name(one) for one in function.decorator_list]
        return any(not _CACHES.isdisjoint(words(name)) for name in named)

    def is_setup(self, function: Function) -> bool:
        """Say whether a function runs once for each object or process: set-up, a command, a test, a migration."""
        name = function.name
        first = (words(name) or ("",))[0]
        return (
            name in _OBJECT
            or name in ("main", "_main", "amain", "async_main", "cli", "run_cli", "handle", "demo")
            or first in _SETUP
            or name.startswith(("test_", "main_"))
            or not _SCHEMA.isdisjoint(words(name))
            or "pool" in words(name)
            or self._creates(name)
            or self._is_command(function)
            or self._is_pool(function)
        )

    def is_probe(self, function: Function) -> bool:
        """Say whether a function tries whether a database can be reached: a new connection is what it is for."""
        return not _PROBE.isdisjoint(words(function.name))

    def is_special(self, function: Function, opened: ast.expr) -> bool:
        """Say whether what is opened is for what no pool can serve: the schema, listening, a loop without end."""
        return self._is_schema(list(own_nodes(function))) or self.is_long(function, opened)

    def is_long(self, function: Function, opened: ast.AST) -> bool:
        """Say whether what is opened is for listening, or for a loop without end."""
        nodes = list(own_nodes(function))
        return self.is_lasting(function) or self._listens(nodes) or self._is_held(nodes, opened)

    def is_lasting(self, function: Function) -> bool:
        """Say whether a function works for long on one connection, by its name: a worker, a listener."""
        return not _LASTING.isdisjoint(words(function.name))

    def _creates(self, name: str) -> bool:
        found = words(name)
        return not _CREATE.isdisjoint(found) and not _CREATED.isdisjoint(found)

    def _is_command(self, function: Function) -> bool:
        return any(last_name(one) in _COMMANDS for one in function.decorator_list)

    def _is_pool(self, function: Function) -> bool:
        around = self.module.class_around(function)
        found = words(around.name) if around is not None else ()
        return (
            "pool" in found or (bool(found) and found[0] == "test") or "command" in found[-1:] or "migration" in found
        )

    def _is_schema(self, nodes: list[ast.AST]) -> bool:
        texts = [text for node in nodes if (text := _text(node))]
        if any(_BOOTSTRAP.match(text) for text in texts):
            return True
        if any(_DDL.match(text) for text in texts):
            return not any(_SQL.match(text) for text in texts) and not any(_runs_parameter(node) for node in nodes)
        called = {last_name(node.func) for node in nodes if isinstance(node, ast.Call)}
        return not _METADATA.isdisjoint(called) and _WORK.isdisjoint(called)

    def _listens(self, nodes: list[ast.AST]) -> bool:
        if any(isinstance(node, ast.Attribute) and node.attr in _LISTENERS for node in nodes):
            return True
        return any(_LISTEN.match(_text(node)) for node in nodes)

    def _is_held(self, nodes: list[ast.AST], opened: ast.AST) -> bool:
        """Say whether a loop that ends with the program uses it, and does not open it anew each time."""
        return any(
            isinstance(node, ast.While)
            and isinstance(node.test, ast.Constant | ast.UnaryOp)
            and start_of(node) > start_of(opened)
            for node in nodes
        )


def _runs_parameter(node: ast.AST) -> bool:
    """Say whether a call runs a statement that is not written here: `cursor.execute(self.query)`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="execute"), args=[ast.Name(id=name) | ast.Attribute(attr=name), *_]):
            return not name.isupper()
        case _:
            return False


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case _:
            return ""
