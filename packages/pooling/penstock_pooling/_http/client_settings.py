"""How a named HTTP client is opened: `[tool.penstock.clients.NAME]`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self

from penstock_limits import ConfigurationError, read_settings

__all__ = ["ClientSettings"]

_MODULES = ("httpx", "httpx2", "aiohttp")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """One named HTTP client: `[tool.penstock.clients.NAME]`; times in seconds.

    The defaults are httpx's, whatever the module. Headers are shown by their names only.

    Attributes:
        module: Whose client it is: `httpx`, `httpx2` or `aiohttp`.
        base_url: What the URLs of requests are relative to; empty for nothing.
        headers: Headers of every request.
        header_variables: By header, the environment variable that holds its value: `{"Authorization" = "OPENAI_AUTH"}`.
        policy: The name of the policy that requests go through; None for none.
        max_connections: How many connections may be open.
        max_keepalive_connections: How many may be kept open while nobody uses them; aiohttp keeps all of them.
        keepalive_expiry: How long one is kept open that nobody uses.
        acquire_timeout: How long a request may wait for a connection of the pool; `inf` for any time.
        connect_timeout: How long opening a connection may take; `inf` for any time.
        read_timeout: How long a response may send nothing; `inf` for any time.
        write_timeout: How long sending a piece of a request may take; `inf` for any time. aiohttp has no such thing.
        connect_retries: How often opening a connection is tried again that failed; nothing has been sent by then.

    Raises:
        ConfigurationError: A value is wrong.
    """

    module: str = "httpx"
    base_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    header_variables: Mapping[str, str] = field(default_factory=dict)
    policy: str | None = None
    max_connections: int = 100
    max_keepalive_connections: int = 20
    keepalive_expiry: float = 5.0
    acquire_timeout: float = 5.0
    connect_timeout: float = 5.0
    read_timeout: float = 5.0
    write_timeout: float = 5.0
    connect_retries: int = 0

    def __post_init__(self) -> None:
        _require(self.module in _MODULES, "module", self.module, f"one of {', '.join(_MODULES)}")
        # Not shown: a URL may have a password in it.
        _require(isinstance(self.base_url, str), "base_url", type(self.base_url), "a URL, or an empty text")
        _require(_is_text(self.headers), "headers", "...", "a table of texts")
        _require(_is_text(self.header_variables), "header_variables", "...", "a table of variables' names")
        _require(self.policy is None or isinstance(self.policy, str), "policy", self.policy, "the name of a policy")
        for key, least in (("max_connections", 1), ("max_keepalive_connections", 0), ("connect_retries", 0)):
            value = getattr(self, key)
            fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
            _require(fits, key, value, f"a whole number from {least}")
        for key in ("keepalive_expiry", "acquire_timeout", "connect_timeout", "read_timeout", "write_timeout"):
            value = getattr(self, key)
            fits = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
            _require(fits, key, value, "seconds above 0, or inf")

    def __repr__(self) -> str:
        shown = {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }
        shown |= {"base_url": _without_user(self.base_url), "headers": [*self.headers]}
        return f"ClientSettings({', '.join(f'{key}={value!r}' for key, value in shown.items() if value)})"

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every request, those of the environment too.

        Raises:
            ConfigurationError: A variable is not set.
        """
        for header, variable in self.header_variables.items():
            if variable not in os.environ:
                raise ConfigurationError(f"header_variables: {header} is to be in {variable}, which is not set; set it")
        return {**self.headers, **{header: os.environ[name] for header, name in self.header_variables.items()}}

    def timeouts(self) -> dict[str, float | None]:
        """Return the timeouts by httpx's names for them, None for any time."""
        named = {
            "connect": self.connect_timeout,
            "read": self.read_timeout,
            "write": self.write_timeout,
            "pool": self.acquire_timeout,
        }
        return {name: None if seconds == math.inf else seconds for name, seconds in named.items()}

    @classmethod
    def load(cls, path: str | os.PathLike[str] = ".") -> dict[str, Self]:
        """Read the clients of a project.

        Args:
            path: A TOML file, or a folder, which is searched for `penstock.toml`, then for `pyproject.toml`.

        Returns:
            The settings by the clients' names; none if there is no such file or table.

        Raises:
            ConfigurationError: A value, a key or the file is wrong; the message names file, client, key and what is
                allowed.
        """
        return read_settings(cls, path, "clients")


def _require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise ConfigurationError(f"{key} = {value!r}; allowed is {allowed}" if key else f"allowed is {allowed}")


def _is_text(table: object) -> bool:
    return isinstance(table, Mapping) and all(isinstance(each, str) for pair in table.items() for each in pair)


def _without_user(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path
