"""What somebody has asked `connect()` for, in a form that can be compared."""

from __future__ import annotations

import asyncio
import copy
import enum
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from penstock_limits import configuration

from penstock_pooling._connect.lent import lent_class
from penstock_pooling._pools.environment import environment

__all__ = ["ConnectArguments"]

_HOST = r"(?:[\w./-]+|\[[\w:.%]+\])(?::\d+)?"
_HOSTS = re.compile(f"{_HOST}(?:,{_HOST})*")  # nothing that a mistyped dsn could have of a password
_DATABASE = re.compile(r"[\w.-]*")
UNNAMED = "asyncpg.connect"


@dataclass(frozen=True, slots=True)
class ConnectArguments:
    """Arguments of `connect()`.

    Attributes:
        key: What tells pools apart; never shown.
        by_identity: Those of its parts that are equal only to themselves.
        dsn: As for `asyncpg.connect`.
        arguments: All others that concern the session.
        connection_class: The class that the caller wants; any may stand upon one session.
        record_class: As for asyncpg.
        completed_by: The variables of the environment that complete them.
        timeout: The caller's deadline; ... if it has said nothing, None for none.
    """

    key: tuple[Any, ...]
    by_identity: tuple[Any, ...]
    dsn: str | None
    arguments: dict[str, Any]
    connection_class: type
    record_class: type
    completed_by: tuple[Any, ...]
    timeout: Any

    def __repr__(self) -> str:
        return f"<ConnectArguments for {self.name()}>"

    @classmethod
    def read(cls, dsn: str | None, arguments: dict[str, Any]) -> ConnectArguments | None:
        """Read arguments; None if a pool cannot serve them, and asyncpg has to see to them."""
        rest = dict(arguments)
        loop, timeout = rest.pop("loop", None), rest.pop("timeout", ...)
        connection_class = rest.pop("connection_class", asyncpg.Connection)
        record_class = rest.pop("record_class", asyncpg.Record)
        if loop not in (None, asyncio.get_running_loop()) or not (timeout in (None, ...) or _is_seconds(timeout)):
            return None
        if not (_is_class(connection_class, asyncpg.Connection) and _is_class(record_class, asyncpg.Record)):
            return None
        try:
            lent_class(connection_class)
            by_identity = tuple(_by_identity([dsn, *rest.values()]))
            completed_by = environment()
            key = (_frozen(dsn), _frozen(rest), record_class, completed_by)
            hash(key)
            rest = {name: _own(value) for name, value in rest.items()}
        except Exception:  # noqa: BLE001 - an argument may raise what it likes if it is compared
            return None
        return cls(key, by_identity, dsn, rest, connection_class, record_class, completed_by, timeout)

    def patience(self) -> float:
        """Return for how many seconds the caller waits."""
        longest = configuration().database_operation_timeout
        return longest if self.timeout in (None, ...) else min(self.timeout, longest)

    def name(self) -> str:
        """Return host and database, as far as they are certain; no user, and no password."""
        hosts, database = _of_dsn(self.dsn)
        hosts = self._given("host", "PGHOST", hosts)
        database = self._given("database", "PGDATABASE", database)
        if not _HOSTS.fullmatch(hosts or "") or not _DATABASE.fullmatch(database):
            return UNNAMED
        return f"{hosts}/{database}"

    def _given(self, argument: str, variable: str, in_dsn: str) -> str:
        value = self.arguments.get(argument)
        if isinstance(value, (list, tuple)):
            value = ",".join(map(str, value))
        return str(value or in_dsn or os.environ.get(variable) or "")


def _of_dsn(dsn: str | None) -> tuple[str, str]:
    """Return hosts and database of a dsn."""
    try:
        parts = urlsplit(dsn or "")
    except ValueError:
        return "", ""
    if "@" in parts.path + parts.query + parts.fragment:  # a password that should have been quoted
        return "", ""
    return parts.netloc.rpartition("@")[2], parts.path.lstrip("/")


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _is_class(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


def _frozen(value: Any) -> Any:
    """Return a value that is equal if a connection made with it would be the same."""
    if type(value) is dict:
        return dict, frozenset((key, _frozen(each)) for key, each in value.items())
    if type(value) in (list, tuple):
        return type(value), tuple(map(_frozen, value))
    if value != value:
        raise ValueError
    return type(value), value  # with its type: True is 1


def _own(value: Any) -> Any:
    """Return a copy of what its owner may change later."""
    return copy.deepcopy(value) if type(value) in (dict, list) else value


def _by_identity(values: list[Any]) -> Iterator[Any]:
    """Find what is equal only to itself, and may have been made for this call."""
    for value in values:
        if type(value) in (list, tuple):
            yield from _by_identity(list(value))
        elif type(value) is dict:
            yield from _by_identity(list(value.values()))
        elif isinstance(value, MethodType):
            yield from _by_identity([value.__self__])
        elif _is_compared_by_identity(value) and not _stays(value):
            yield value


def _is_compared_by_identity(value: object) -> bool:
    return getattr(type(value), "__eq__", None) is object.__eq__


def _stays(value: Any) -> bool:
    """Tell whether a value is one of a few that a program has for all its life."""
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return "<locals>" not in value.__qualname__
    return value is None or isinstance(value, enum.Enum)
