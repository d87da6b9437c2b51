"""What a database pool is told, by hand or in `[tool.penstock.pools.NAME]`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self

from penstock_limits import ConfigurationError, read_settings

__all__ = ["PoolSettings"]

_NOT_IN_FILES = ("password", "connect_arguments")
_HIDDEN = ("dsn", *_NOT_IN_FILES)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")  # what may be shown: a dsn is none, wherever it was put
_ATTRIBUTES = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")

_DRIVERS = ("asyncpg", "psycopg", "sqlalchemy")
_OF_ASYNCPG = ("command_timeout", "statement_cache_size")

Password = str | Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """One database pool: `[tool.penstock.pools.NAME]`; times in seconds.

    Attributes:
        dsn: How to connect, `postgresql://user:password@host/database`; several hosts, with commas between them, are
            tried in their order. It is never shown. Without it and `dsn_variable`, the driver reads `PGHOST` and so on.
        dsn_variable: The environment variable that holds the dsn.
        min_size: Connections that are kept open.
        max_size: Connections that may be open.
        max_queued: Callers that may wait for one; None for any number.
        acquire_timeout: How long a caller waits for one, unless it says otherwise; None for any time.
        max_lifetime: After how long a connection is replaced, a tenth earlier or less; None for never.
        max_inactive_connection_lifetime: After how long an idle connection beyond `min_size` is closed; 0 for never.
        max_queries: After how many queries a connection is replaced. Of asyncpg only.
        leak_after: From when a connection that is out counts as leaked, which is told; None for never. Of asyncpg only.
        close_timeout: How long closing the pool waits for connections that are out; None for any time.
        command_timeout: Deadline of a query without one of its own; None for none. Of asyncpg only.
        statement_cache_size: Prepared statements that a connection keeps; None for asyncpg's default, and for 0 behind
            a pooler such as pgbouncer. Of asyncpg only.
        target_session_attrs: Which of several hosts will do: `any`, `primary`, `standby`, `read-write`, `read-only` or
            `prefer-standby`; None for the driver's default.
        driver: What its connections are of: `asyncpg`, `psycopg` or `sqlalchemy`, whose dsn names a driver that is
            awaited, `postgresql+asyncpg://`.
        password: The password, or a function that returns it, asked for each new connection. Not in files; never shown.
        connect_arguments: More arguments for the driver's `connect`. Not in files; never shown.

    Raises:
        ConfigurationError: A value is wrong.
    """

    dsn: str | None = field(default=None, repr=False)
    _: KW_ONLY
    dsn_variable: str | None = None
    min_size: int = 5
    max_size: int = 20
    max_queued: int | None = None
    acquire_timeout: float | None = 10.0
    max_lifetime: float | None = 1_800.0
    max_inactive_connection_lifetime: float = 300.0
    max_queries: int = 50_000
    leak_after: float | None = 60.0
    close_timeout: float | None = 30.0
    command_timeout: float | None = None
    statement_cache_size: int | None = None
    target_session_attrs: str | None = None
    driver: str = "asyncpg"
    password: Password | None = field(default=None, repr=False)
    connect_arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for key, allowed, is_allowed in _RULES:
            value = getattr(self, key)
            if not is_allowed(value):
                shown = "(not shown)" if key in _HIDDEN or _may_be_dsn(value) else repr(value)
                raise ConfigurationError(f"{key} = {shown}; allowed is {allowed}")
        for key in _OF_ASYNCPG:
            if self.driver != "asyncpg" and getattr(self, key) is not None:
                raise ConfigurationError(
                    f"{key} = {getattr(self, key)!r}; allowed with the driver {self.driver} is None"
                )
        if self.dsn is not None and self.dsn_variable is not None:
            raise ConfigurationError("dsn and dsn_variable are both given; keep one")
        if self.min_size > self.max_size:
            raise ConfigurationError(f"min_size = {self.min_size!r}; allowed is at most max_size ({self.max_size})")

    @classmethod
    def load(cls, path: str | os.PathLike[str] = ".") -> dict[str, Self]:
        """Read the pools of a project: `[tool.penstock.pools.NAME]`, which in `penstock.toml` is `[pools.NAME]`.

        Args:
            path: A TOML file, or the folder of one; `penstock.toml` goes before `pyproject.toml`.

        Returns:
            The settings by name; empty if there are none.

        Raises:
            ConfigurationError: A value, a key or the file is wrong; the message names file, key, value and what is
                allowed.
        """
        return read_settings(cls, path, "pools", not_in_files=_NOT_IN_FILES)

    def connect_with(self, name: str) -> tuple[str | None, dict[str, Any]]:
        """Return the dsn, and the arguments for the driver's `connect`.

        Args:
            name: The pool's name, for the error.

        Raises:
            ConfigurationError: The environment variable that holds the dsn is not set.
        """
        dsn = self.dsn
        if self.dsn_variable is not None:
            dsn = os.environ.get(self.dsn_variable)
            if not dsn:
                raise ConfigurationError(
                    f"pool {name!r}: the environment variable {self.dsn_variable} is not set; "
                    f"it holds the dsn: postgresql://user:password@host/database"
                )
        keys = ("command_timeout", "statement_cache_size", "target_session_attrs", "password")
        given = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        return dsn, given | dict(self.connect_arguments)


def _is_whole(least: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: object) -> bool:
    return _is_from_zero(value) and value != 0


def _is_from_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _or_none(is_allowed: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_allowed(value)


def _may_be_dsn(value: object) -> bool:
    return bool(value) and (isinstance(value, (list, dict)) or (isinstance(value, str) and not _WORD.fullmatch(value)))


_is_text = _or_none(lambda value: isinstance(value, str) and bool(value))

_RULES: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("dsn", "a text: postgresql://user:password@host/database", _is_text),
    ("driver", "one of: asyncpg, psycopg, sqlalchemy", lambda value: value in _DRIVERS),
    (
        "dsn_variable",
        "the name of an environment variable",
        _or_none(lambda value: isinstance(value, str) and bool(_WORD.fullmatch(value))),
    ),
    ("min_size", "a whole number from 0", _is_whole(0)),
    ("max_size", "a whole number from 1", _is_whole(1)),
    ("max_queued", "a whole number from 0", _or_none(_is_whole(0))),
    ("acquire_timeout", "seconds above 0", _or_none(_is_positive)),
    ("max_lifetime", "seconds above 0", _or_none(_is_positive)),
    ("max_inactive_connection_lifetime", "seconds from 0", _is_from_zero),
    ("max_queries", "a whole number from 1", _is_whole(1)),
    ("leak_after", "seconds above 0", _or_none(_is_positive)),
    ("close_timeout", "seconds above 0", _or_none(_is_positive)),
    ("command_timeout", "seconds above 0", _or_none(_is_positive)),
    ("statement_cache_size", "a whole number from 0", _or_none(_is_whole(0))),
    ("target_session_attrs", f"one of: {', '.join(_ATTRIBUTES)}", _or_none(lambda value: value in _ATTRIBUTES)),
    ("password", "a text or a function", _or_none(lambda value: isinstance(value, str) or callable(value))),
    ("connect_arguments", "a mapping", lambda value: isinstance(value, Mapping)),
)
