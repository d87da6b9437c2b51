"""What a monitor is to show of rewritten code, and where a project starts one. It only reads the code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._proving.guarded import SeenResource
from penstock_migrations._rewriting.entry_point import entry_point, of_application, parsed
from penstock_migrations._rewriting.source_text import RewriteError

__all__ = ["Used", "starts_monitor", "used_in", "where_to_start"]

_MONITORING = "penstock_monitoring"
_MONITOR = "ConcurrencyMonitor"
_OUTLETS = {_MONITOR: {"serve", "snapshot"}, "PrometheusCollector": {"register", "render"}}
_OUTLETS |= {"OpenTelemetryBridge": {"register"}}
_LIMITS, _POOLING = "penstock_limits", "penstock_pooling"


@dataclass(frozen=True, slots=True)
class Used:
    """A limit or a pool that rewritten code uses.

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
        return any(
            each.package == self.package and (self.name is None or (each.kind, each.name) == ("limiter", self.name))
            for each in resources
        )


def used_in(root: Path, files: Iterable[Path]) -> tuple[Used, ...]:
    """Return each limit that the application's files name, and the pools once, with the first place of each.

    Args:
        root: The project's root.
        files: Those that were rewritten.
    """
    found: dict[tuple[str, str | None], Used] = {}
    for file in of_application(root, files):
        for call in _calls(parsed(file, b"penstock_")):
            package, _, _ = ast.unparse(call.func).partition(".")
            place = f"{file.relative_to(root).as_posix()}:{call.lineno}"
            names: list[str | None] = [None] if package == _POOLING else []
            names += _named_limits(call) if package == _LIMITS else []
            for name in names:
                found.setdefault((package, name), Used(package, name, place))
    return tuple(found.values())


def starts_monitor(root: Path, files: Iterable[Path]) -> Path | None:
    """Return the first file of the application that makes a monitor and shows what it sees; None if no file does.

    A monitor is shown by its page, its hooks, `serve` or `snapshot`; a collector and a bridge are registered. All of
    it has to stand in one file, as nothing is followed from one to another.
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
    made = _names_of_ours(nodes)
    methods = {each.func.attr for each in _calls(tree) if isinstance(each.func, ast.Attribute)}
    entered = "enter_async_context" in methods or any(isinstance(each, ast.AsyncWith) for each in nodes)
    for call in _calls(tree):
        name = made.get(ast.unparse(call.func))
        if name is None:
            continue
        given = {each.arg for each in call.keywords if not _is_none(each.value)}
        if methods & _OUTLETS[name] or (name == _MONITOR and entered and given & {"page", "hooks"}):
            return True
    return False


def _names_of_ours(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return the names by which a file calls what shows resources, and which of these each is."""
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == _MONITORING and not node.level:
            names |= {each.asname or each.name: each.name for each in node.names if each.name in _OUTLETS}
        elif isinstance(node, ast.Import):
            ours = [each.asname or each.name for each in node.names if each.name == _MONITORING]
            names |= {f"{module}.{name}": name for module in ours for name in _OUTLETS}
    return names


def _calls(tree: ast.AST | None) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call)) if tree else iter(())


def _named_limits(call: ast.Call) -> list[str | None]:
    values = [each.value for each in call.keywords if each.arg == "limit"]
    return [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
