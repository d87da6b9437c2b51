"""`Settings`: what the audit reads from `[tool.penstock.audit]` of pyproject.toml or `[audit]` of penstock.toml."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_migrations.rule import Options, Severity

__all__ = ["Settings", "SettingsError"]

_SELECTOR = re.compile(r"[1-8]|PEN[1-8]\d\d")
_LIMIT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_QUALIFIED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SELECTING = ("select", "ignore")
_NAMING = ("managed_classes", "blocking_calls")


class SettingsError(ValueError):
    """A setting is wrong; the message names the place, the key, the value and what is allowed."""

    def __init__(self, place: str, key: str, value: object, allowed: str) -> None:
        super().__init__(f"{place}: {key} = {value!r} is not allowed; allowed: {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to look for, and where.

    Attributes:
        select: Codes (`PEN101`) or issue numbers (`1`) to report; empty for all.
        ignore: Codes or issue numbers not to report.
        exclude: Globs of files and folders to leave out, besides hidden folders, environments and caches.
        limit: Name of the limit that the codemod writes.
        managed_classes: Qualified names of classes whose objects must be closed, besides those that are known.
        blocking_calls: Qualified names of what does blocking HTTP, besides what is known.
        severity: The least severity to report; `low` is advice.

    Raises:
        SettingsError: A value is wrong.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limit: str = "api_call"
    managed_classes: tuple[str, ...] = ()
    blocking_calls: tuple[str, ...] = ()
    severity: Severity = Severity.LOW

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _value("settings", field.name, list(value) if isinstance(value, tuple) else value)

    def wants(self, code: str) -> bool:
        """Say whether findings of this code are asked for."""
        names = {code, code[3]}
        return (not self.select or bool(names & set(self.select))) and not names & set(self.ignore)

    def reports(self, code: str, severity: Severity) -> bool:
        """Say whether a finding of this code and severity is asked for."""
        return self.wants(code) and _rank(severity) >= _rank(self.severity)

    @property
    def options(self) -> Options:
        """What of it the rules are told."""
        return Options(limit=self.limit, managed_classes=self.managed_classes, blocking_calls=self.blocking_calls)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the settings that hold for a path.

        The folders from `path` upward are searched for `penstock.toml` and for a `pyproject.toml` with
        `[tool.penstock]`; the first found holds. With none, the defaults hold.

        Args:
            path: The file or folder to audit.

        Raises:
            SettingsError: The file or a value is wrong.
        """
        found = _find(path)
        return cls() if found is None else _checked(cls, *found)


def _rank(severity: Severity) -> int:
    return [Severity.LOW, Severity.MEDIUM, Severity.HIGH].index(severity)


def _find(path: Path) -> tuple[Path, dict[str, Any]] | None:
    start = path.resolve()
    for folder in (start, *start.parents):
        for file, keys in ((folder / "penstock.toml", ()), (folder / "pyproject.toml", ("tool", "penstock"))):
            if file.is_file() and (table := _table(file, keys)) is not None:
                return file, table
    return None


def _table(file: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(str(file), "content", str(error), "a readable TOML file") from None
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return None
        table = table[key]
    audit = table.get("audit", {}) if isinstance(table, dict) else {}
    if not isinstance(audit, dict):
        raise SettingsError(str(file), "audit", audit, "a table")
    return audit


def _checked(cls: type[Settings], file: Path, table: dict[str, Any]) -> Settings:
    known = {field.name for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(str(file), f"audit.{key}", value, f"the keys {', '.join(sorted(known))}")
        values[key] = _value(str(file), key, value)
    return cls(**values)


def _value(place: str, key: str, value: object) -> object:
    """Check one value as TOML gives it, and return it as the settings keep it."""
    if key in (*_SELECTING, *_NAMING, "exclude"):
        return _items(place, key, value)
    if not isinstance(value, str):
        raise SettingsError(place, key, value, "a string")
    if key == "severity":
        if value not in list(Severity):
            raise SettingsError(place, key, value, ", ".join(Severity))
        return Severity(value)
    if not _LIMIT.fullmatch(value):
        raise SettingsError(place, key, value, "a name such as api_call")
    return value


def _items(place: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or any(isinstance(item, bool) or not isinstance(item, str | int) for item in value):
        raise SettingsError(place, key, value, 'a list such as ["PEN101", 2]')
    items = tuple(str(item) for item in value)
    for item in items:
        if key in _SELECTING and not _SELECTOR.fullmatch(item):
            raise SettingsError(place, key, item, "issue numbers 1 to 8, and codes such as PEN101")
        if key in _NAMING and not _QUALIFIED.fullmatch(item):
            raise SettingsError(place, key, item, "qualified names such as vendor.client.Client")
    return items
