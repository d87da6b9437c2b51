"""What a monitor is to show of rewritten code, and where a project starts one. It only reads the code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._proving.guarded import SeenResource
from penstock_migrations._rewriting.entry_point import entry_point, of_application, parsed
from penstock_migrations._rewriting.source_text import RewriteError

__all__ = ["Used", "starts_monitor", "used_in", "where_to_start"]

_MONITORING = "penstock_monitoring"
_MONITOR = "ConcurrencyMonitor"
_OUTLETS = {
    _MONITOR: {"serve", "snapshot"},
    "PrometheusCollector": {"register", "render"},
    "OpenTelemetryBridge": {"register"},
}
_LIMITS, _POOLING = "penstock_limits", "penstock_pooling"
_LENDERS = {"connect", "connection", "create_engine", "create_async_engine", "create_pool", "Pool"}  # of connections
_CLIENT = "client"  # of HTTP: it lends none of a database


@dataclass(frozen=True, slots=True)
class Used:
    """A limit or a pool that code uses.

    Attributes:
        package: The package whose drop-in is called.
        name: The limit's name; None for a pool, which is named after its database.
        place: Where it is called, `path:line`.
    """

    package: str
    name: str | None
    place: str

    def __str__(self) -> str:
        return "connections" if self.name is None else f"limit {self.name!r}"

    def is_among(self, resources: Iterable[SeenResource]) -> bool:
        """Tell whether the guard has seen it."""
        ours = [each for each in resources if each.package == self.package]
        if self.name is None:
            return any(each.kind != _CLIENT for each in ours)
        return any((each.kind, each.name) == ("limiter", self.name) for each in ours)


def used_in(root: Path, files: Iterable[Path]) -> tuple[Used, ...]:
    """Return each limit that the application's files name, and the pools once, with the first place of each.

    Args:
        root: The project's root.
        files: The code, whenever it was rewritten.
    """
    found: dict[tuple[str, str | None], Used] = {}
    for file in of_application(root, files):
        for call in _calls(parsed(file, b"penstock_")):
            package, _, called = ast.unparse(call.func).partition(".")
            place = f"{file.relative_to(root).as_posix()}:{call.lineno}"
            names: list[str | None] = [None] if package == _POOLING and called.rpartition(".")[2] in _LENDERS else []
            names += _named_limits(call) if package == _LIMITS else []
            for name in names:
                found.setdefault((package, name), Used(package, name, place))
    return tuple(found.values())


def starts_monitor(root: Path, files: Iterable[Path]) -> Path | None:
    """Return the first file of the application that makes a monitor and shows what it sees; None if no file does.

    A monitor is shown by its page or its hooks while it is entered, or by `serve` or `snapshot`; a collector and a
    bridge by `register`, the collector by `render`, too. All of it has to stand in one file, as nothing is followed
    from one to another; what is within one is told by names, so that another's `register` or `serve` does not count.
    """
    for file in of_application(root, files):
        tree = parsed(file, _MONITORING.encode())
        if tree is not None and _shows(tree):
            return file
    return None


def where_to_start(root: Path, files: Iterable[Path]) -> str:
    """Return where a monitor belongs, in words."""
    try:
        start = entry_point(root, list(files))
    except RewriteError:
        return "where the program starts"
    path = start.file.relative_to(root).as_posix()
    return f"in {path}" if start.function is None else f"in {start.function}() of {path}"


def _shows(tree: ast.Module) -> bool:
    nodes = list(ast.walk(tree))
    named = _names_of_ours(nodes)
    made = {call: named[name] for call in _calls(tree) if (name := ast.unparse(call.func)) in named}
    holders = _holders(nodes, made.keys())
    entered = _entered(nodes, made.keys(), holders)
    for call, name in made.items():
        given = {each.arg for each in call.keywords if not _is_nothing(each.value)}
        if name == _MONITOR and entered and given & {"page", "hooks"}:
            return True
        if any(_is_outlet(each, _OUTLETS[name], made.keys(), holders) for each in nodes):
            return True
    return False


def _is_outlet(node: ast.AST, methods: set[str], ours: Set[ast.AST], holders: set[str]) -> bool:
    """Tell whether something that holds what was made is asked to show it, or is given to a registry."""
    if isinstance(node, ast.Attribute) and node.attr in methods:
        return _is_of(node.value, ours, holders)
    match node:
        case ast.Call(func=ast.Attribute(attr="register"), args=args) if "register" in methods:
            return any(_is_of(each, ours, holders) for each in args)
    return False


def _entered(nodes: Iterable[ast.AST], ours: Set[ast.AST], holders: set[str]) -> bool:
    contexts = [item.context_expr for each in nodes if isinstance(each, ast.AsyncWith) for item in each.items]
    for each in nodes:
        match each:
            case ast.Call(func=ast.Attribute(attr="enter_async_context"), args=args):
                contexts += args
            case ast.Call(func=ast.Attribute(attr="__aenter__", value=value)):
                contexts.append(value)
    return any(_is_of(each, ours, holders) for each in contexts)


def _holders(nodes: Sequence[ast.AST], ours: Set[ast.AST]) -> set[str]:
    """Return the names that hold what is made: of variables, attributes and functions that return it.

    A parameter may hold it, too: who is called with what is not followed.
    """
    names: set[str] = set()
    for node in (*nodes, *nodes):  # a name may stand above the line that says what it is
        held = any(_is_of(value, ours, names) for value in _values_held(node))
        names |= {_last_name(target) for target in _targets(node)} if held else set()
    names.discard("")
    return names | {each.arg for each in nodes if isinstance(each, ast.arg) and each.arg not in ("self", "cls")}


def _values_held(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign(value=value) | ast.NamedExpr(value=value) | ast.withitem(context_expr=value):
            return [value]
        case ast.AnnAssign(value=ast.expr() as value):
            return [value]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [each.value for each in ast.walk(node) if isinstance(each, ast.Return | ast.Yield) and each.value]
    return []


def _targets(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.Assign(targets=targets):
            return [one for each in targets for one in (each.elts if isinstance(each, ast.Tuple) else [each])]
        case ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
            return [target]
        case ast.withitem(optional_vars=ast.expr() as target):
            return [target]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node]
    return []


def _is_of(value: ast.expr, ours: Set[ast.AST], holders: set[str]) -> bool:
    """Tell whether an expression is what was made, or holds it, or has it made within."""
    return _last_name(value) in holders or any(each in ours for each in ast.walk(value))


def _last_name(value: ast.AST) -> str:
    """Return `monitor` of `app.state.monitor`, `monitor["a"]` and `monitor()`; nothing of what has no name."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.Subscript(value=within) | ast.Call(func=within) | ast.Await(value=within):
            return _last_name(within)
    return ""


def _names_of_ours(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return the names by which a file calls what shows resources, and which of these each is."""
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == _MONITORING and not node.level:
            named = [(name, name) for name in _OUTLETS] if node.names[0].name == "*" else []
            named += [(each.asname or each.name, each.name) for each in node.names if each.name in _OUTLETS]
            names |= dict(named)
        elif isinstance(node, ast.Import):
            ours = [each.asname or each.name for each in node.names if each.name == _MONITORING]
            names |= {f"{module}.{name}": name for module in ours for name in _OUTLETS}
        elif isinstance(node, ast.ClassDef):
            bases = [names[base] for base in map(ast.unparse, node.bases) if base in names]
            names |= {node.name: bases[0]} if bases else {}
    return names


def _calls(tree: ast.AST | None) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call)) if tree else iter(())


def _named_limits(call: ast.Call) -> list[str | None]:
    values = [each.value for each in call.keywords if each.arg == "limit"]
    return [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_nothing(value: ast.expr) -> bool:
    return (isinstance(value, ast.Constant) and value.value is None) or ast.unparse(value) in ("()", "[]")
