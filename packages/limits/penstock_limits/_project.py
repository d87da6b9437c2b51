"""The tables of a project: `[tool.penstock]` in pyproject.toml, or penstock.toml."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

from penstock_limits._errors import ConfigurationError

__all__ = ["blaming", "read_section", "read_settings"]

T = TypeVar("T")


def read_settings(
    cls: type[T], path: str | os.PathLike[str], key: str, *, not_in_files: Collection[str] = ()
) -> dict[str, T]:
    """Read the tables `[tool.penstock.KEY.NAME]` of a project, each as a dataclass of settings.

    No message shows a value, but for what the dataclass itself says of it.

    Args:
        cls: The dataclass; it checks its values, and raises `ConfigurationError`.
        path: A TOML file, or a folder, which is searched for `penstock.toml`, then for `pyproject.toml`.
        key: What the tables are in, such as `pools`.
        not_in_files: Fields that are given by hand only.

    Returns:
        The settings by their names; empty if there are none.

    Raises:
        ConfigurationError: A value, a key or the file is wrong; the message names file, key and what is allowed.
    """
    file, section = read_section(Path(path))
    tables = section.get(key, {})
    if not isinstance(tables, dict):
        raise ConfigurationError(f"{file}: {key} is no table; allowed are tables: [tool.penstock.{key}.NAME]")
    known = [each.name for each in dataclasses.fields(cls) if each.name not in not_in_files]  # type: ignore[arg-type]
    return {name: _read(cls, f"{file}: {key}.{name}", table, known) for name, table in tables.items()}


def _read(cls: type[T], place: str, table: object, known: list[str]) -> T:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{place} is no table; allowed is one with any of: {', '.join(known)}")
    for key in table:
        if key not in known:
            raise ConfigurationError(f"{place}.{key} is no setting; known are: {', '.join(known)}")
    with blaming(place):
        return cls(**table)


@contextlib.contextmanager
def blaming(place: str) -> Iterator[None]:
    """Put the place in front of a ConfigurationError's message."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def read_section(path: Path) -> tuple[Path, dict[str, Any]]:
    """Return the file of a project's settings, and what of it is penstock's; nothing if there is none.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    if not path.is_dir():
        return path, _section(path)
    for name in ("penstock.toml", "pyproject.toml"):
        if (path / name).is_file():
            return path / name, _section(path / name)
    return path, {}


def _section(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is no valid TOML: {error}") from None
    if path.name == "pyproject.toml" or ("tool" in document and path.name != "penstock.toml"):
        for key in ("tool", "penstock"):
            document = document.get(key, {})
            if not isinstance(document, dict):
                raise ConfigurationError(f"{path}: {key} = {document!r}; allowed is a table")
    return document
