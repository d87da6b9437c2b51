"""`Sessions`: what an operation does with the session of its connection, by methods, attributes and statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Function
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import vocabulary
from penstock_migrations._connections.statements import UNSEEN, Remark, Statements
from penstock_migrations.rule import Fix

__all__ = ["HELPERS", "READERS", "REGISTERING", "Sessions"]

_LISTENS = "it listens, which ties it to one session"
_REPLICATES = "it replicates, which ties it to one session"
_OWN_WORK = "it works on the driver's connection itself"
_CODECS = "it registers types on the connection, which has to be undone each time that it is given back"
_SETTINGS = "it changes how the connection works, which has to be undone when it is given back"
_SET = "it sets {} of the connection, which has to be undone when it is given back"
_METHODS: dict[str, Remark] = {
    name: remark
    for names, remark in (
        ("add_listener notifies add_notify_handler", (Fix.NONE, _LISTENS)),
        (
            "start_replication start_replication_expert create_replication_slot consume_stream",
            (Fix.NONE, _REPLICATES),
        ),
        ("poll fileno lobject tpc_begin", (Fix.NONE, _OWN_WORK)),
        ("set_type_codec set_builtin_type_codec reset_type_codec", (Fix.REVIEW, _CODECS)),
        ("add_log_listener add_termination_listener add_query_logger query_logger adapters", (Fix.REVIEW, _SETTINGS)),
        ("callproc run_sync", (Fix.REVIEW, UNSEEN)),
        ("detach driver_connection dbapi_connection get_raw_connection", (Fix.REVIEW, _OWN_WORK)),
        ("set_session set_isolation_level set_client_encoding set_autocommit", (Fix.REVIEW, _SETTINGS)),
        ("set_read_only set_deferrable add_notice_handler", (Fix.REVIEW, _SETTINGS)),
    )
    for name in vocabulary(names)
}
REGISTERING = vocabulary(
    "register_vector register_vector_async register_uuid register_hstore register_type register_json register_composite"
    " register_default_json register_default_jsonb set_json_loads set_json_dumps"
)
_RUNNING = frozenset(
    {"scalar", "scalars", "exec", "exec_driver_sql", "stream_scalars"}
    | {"execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "prepare", "cursor", "copy"}
    | {"copy_expert", "copy_from_query", "stream"}
)
# What gives a cursor, a result, a query, a transaction: something whose methods are the connection's own.
_HANDLES = vocabulary(
    "cursor transaction execute connection begin begin_nested prepare scalars mappings unique tuples columns partitions"
    " yield_per stream stream_scalars query exec exec_driver_sql filter filter_by where join outerjoin order_by limit"
    " offset options group_by having distinct with_for_update select_from execution_options copy pipeline savepoint"
    " get_transaction __enter__ __aenter__"
)
HELPERS = frozenset({"execute_values", "execute_batch"})
_ENTERED = frozenset({"closing", "aclosing", "wait_for", "shield", "enter_context", "enter_async_context"})
READERS = frozenset({"read_sql", "read_sql_query"})


class Sessions:
    """Looks at one function that has a connection by a name."""

    def __init__(self, statements: Statements, function: Function, name: str | None) -> None:
        self.statements = statements
        self.function = function
        self.nodes = list(own_nodes(function))
        self.name = name
        self.derived = self._derived({name} if name is not None else set())
        self.handles = {name} if name is not None else set()
        self._find_handles()

    def remarks(self) -> Iterator[Remark]:
        """Yield what is to be said of the session."""
        for node in self.nodes:
            match node:
                case ast.Attribute(value=ast.Name(id=self.name), attr=attribute, ctx=ast.Store()):
                    yield Fix.REVIEW, _SET.format(attribute)
                case ast.Attribute(value=owner, attr=attribute) if attribute in _METHODS and self.is_derived(owner):
                    yield _METHODS[attribute]
                case ast.Call() if last_name(node.func) in REGISTERING:
                    yield Fix.REVIEW, _CODECS
                case ast.Call():
                    for statement in self._run(node):
                        yield from self.statements.remarks(statement)

    def _run(self, call: ast.Call) -> Iterator[ast.expr]:
        """Yield the statement that a call runs on the connection, or on a cursor of it."""
        name = last_name(call.func)
        match call:
            case ast.Call(func=ast.Attribute(value=owner), args=[first, *_]) if (
                name in _RUNNING and self.is_derived(owner) and not _is_plain(name, first)
            ):
                yield first
            case ast.Call(args=[given, statement, *_]) if name in HELPERS and self.is_derived(given):
                yield statement
            case ast.Call(args=[statement, *_]) if name in READERS:
                yield statement
            case ast.Call(func=ast.Attribute(value=owner)) if name in _RUNNING and self.is_derived(owner):
                yield from (one.value for one in call.keywords if one.arg in ("query", "sql", "command"))

    def _derived(self, names: set[str]) -> set[str]:
        """Return the names, and attributes, of the connection, and of whatever is made of it: cursors, statements."""
        found, before = set(names), -1
        while len(found) != before:
            before = len(found)
            self.derived = found
            for node in self.nodes:
                for target, value in _bound(node):
                    if any(isinstance(one, ast.Name) and one.id in found for one in walk(value)):
                        found.add(ast.unparse(target))
        return found

    def _find_handles(self) -> None:
        """Find the names that stand for the connection's cursors and results, and for nothing else."""
        bound: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            for one, value in _bound(node):
                bound.setdefault(ast.unparse(one), []).append(value)
        before = -1
        while len(self.handles) != before:
            before = len(self.handles)
            for target, values in bound.items():
                others = [one for one in values if not isinstance(one, ast.Constant)]
                if others and all(map(self.is_handle, others)):
                    self.handles.add(target)

    def is_handle(self, node: ast.expr) -> bool:
        """Say whether an expression is the connection, or a cursor or a result of it; not what it reads: rows."""
        match node:
            case ast.Name() | ast.Attribute() if ast.unparse(node) in self.handles:
                return True
            case ast.Attribute(value=inner) | ast.Await(value=inner):
                return self.is_handle(inner)
            case ast.Call(args=[inner, *_]) if last_name(node.func) in _ENTERED:
                return self.is_handle(inner)
            case ast.Call(func=ast.Attribute(value=inner, attr=method)):
                return method in _HANDLES and self.is_handle(inner)
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_handle(body) and self.is_handle(orelse)
            case _:
                return False

    def is_derived(self, node: ast.expr) -> bool:
        """Say whether an expression starts at the connection, or at something that was made of it."""
        while True:
            match node:
                case ast.Name(id=name):
                    return name in self.derived
                case ast.Attribute() if ast.unparse(node) in self.derived:
                    return True
                case ast.Attribute(value=inner) | ast.Await(value=inner) | ast.Call(func=ast.Attribute(value=inner)):
                    node = inner
                case ast.Call(args=[inner]) if last_name(node.func) in ("closing", "aclosing"):
                    node = inner
                case ast.IfExp(body=body, orelse=orelse):
                    return self.is_derived(body) or self.is_derived(orelse)
                case _:
                    return False


def _bound(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the names and attributes that a node binds, with what it binds them to."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from ((one, value) for one in (target.elts if isinstance(target, ast.Tuple) else [target]))
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
            yield target, value
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            yield target, value


def _is_plain(name: str, first: ast.expr) -> bool:
    """Say whether the first argument is no statement: a cursor's name, a number of rows."""
    return (name == "cursor" and not isinstance(first, ast.Constant | ast.JoinedStr)) or (
        name == "fetchmany" and not isinstance(first, ast.Constant | ast.JoinedStr | ast.Name)
    )
