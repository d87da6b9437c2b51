"""`Settings`: what the audit reads from `[tool.penstock.audit]` of pyproject.toml or `[audit]` of penstock.toml."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from penstock_migrations.rule import Options, Severity

__all__ = ["Settings", "SettingsError", "settings_file"]

_SELECTOR = re.compile(r"[1-8]|PEN[1-8]\d\d")
_LIMIT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_QUALIFIED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SELECTING = ("select", "ignore")
_NAMING = ("managed_classes", "blocking_calls")
_OFF = "off"


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
        include: Globs of the files and folders to look into; empty for all.
        per_path_ignores: Globs, and with each the codes or issue numbers not to report in what it matches.
        severities: Codes or issue numbers, and with each the severity that its findings get; `off` for none.
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
    include: tuple[str, ...] = ()
    per_path_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    severities: tuple[tuple[str, str], ...] = ()
    limit: str = "api_call"
    managed_classes: tuple[str, ...] = ()
    blocking_calls: tuple[str, ...] = ()
    severity: Severity = Severity.LOW

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _value("settings", field.name, _as_toml(field.name, getattr(self, field.name)))

    def wants(self, code: str) -> bool:
        """Say whether findings of this code are asked for."""
        names = {code, code[3]}
        selected = not self.select or bool(names & set(self.select))
        return selected and not names & set(self.ignore) and self._given(code) != _OFF

    def reports(self, code: str, severity: Severity) -> bool:
        """Say whether a finding of this code and severity is asked for."""
        return self.wants(code) and _rank(severity) >= _rank(self.severity)

    def severity_at(self, code: str, severity: Severity, paths: Sequence[str]) -> Severity | None:
        """Return the severity with which a finding is reported, None if it is not.

        Args:
            code: Its code.
            severity: What its rule says.
            paths: The names of its file: as shown, and within its project.
        """
        given = Severity(self._given(code) or severity)
        if not self.reports(code, given) or self._is_ignored(code, paths):
            return None
        return given

    def softens(self, code: str) -> bool:
        """Say whether the settings make advice of what a rule accuses."""
        return self._given(code) in {_OFF, Severity.LOW}

    def _given(self, code: str) -> str | None:
        """Return the severity that the settings give to a code; its own goes before its issue's."""
        given = dict(self.severities)
        return given.get(code, given.get(code[3]))

    def _is_ignored(self, code: str, paths: Sequence[str]) -> bool:
        names = {code, code[3]}
        return any(names & set(items) and _matches(glob, paths) for glob, items in self.per_path_ignores)

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


def settings_file(path: Path) -> Path | None:
    """Return the file whose settings hold for a path, if there is one.

    Raises:
        SettingsError: A file on the way is no readable TOML.
    """
    found = _find(path)
    return None if found is None else found[0]


def _matches(glob: str, paths: Sequence[str]) -> bool:
    """Say whether a glob matches one of the paths, or a folder that it is in: by its name or wholly."""
    candidates = [each for path in paths for each in (PurePosixPath(path), *PurePosixPath(path).parents)]
    wanted = glob.rstrip("/")
    return any(fnmatch.fnmatch(str(each), wanted) or fnmatch.fnmatch(each.name, wanted) for each in candidates)


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
        name = key.replace("-", "_")
        if name not in known:
            allowed = f"the keys {', '.join(sorted(map(_spelt, known)))}"
            raise SettingsError(str(file), f"audit.{key}", value, allowed)
        values[name] = _value(str(file), name, value)
    return cls(**values)


def _spelt(name: str) -> str:
    return "per-path-ignores" if name == "per_path_ignores" else name


def _as_toml(name: str, value: Any) -> Any:
    """Return a value as TOML would give it."""
    if name == "per_path_ignores":
        return {glob: list(items) for glob, items in value}
    if name == "severities":
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _value(place: str, key: str, value: object) -> object:
    """Check one value as TOML gives it, and return it as the settings keep it."""
    if key == "per_path_ignores":
        given = _pairs(place, key, value, '{"tests/*" = [1, "PEN603"]}')
        return tuple((glob, _items(place, f'{_spelt(key)}."{glob}"', items, _SELECTOR)) for glob, items in given)
    if key == "severities":
        given = _pairs(place, key, value, '{PEN204 = "low", 8 = "off"}')
        return tuple(_severity(place, name, severity) for name, severity in given)
    if key in (*_SELECTING, *_NAMING, "exclude", "include"):
        return _items(place, key, value, _SELECTOR if key in _SELECTING else _QUALIFIED if key in _NAMING else None)
    if not isinstance(value, str):
        raise SettingsError(place, key, value, "a string")
    if key == "severity":
        if value not in list(Severity):
            raise SettingsError(place, key, value, ", ".join(Severity))
        return Severity(value)
    if not _LIMIT.fullmatch(value):
        raise SettingsError(place, key, value, "a name such as api_call")
    return value


def _pairs(place: str, key: str, value: object, example: str) -> list[tuple[str, object]]:
    if not isinstance(value, dict) or "" in value:
        raise SettingsError(place, _spelt(key), value, f"a table such as {example}")
    return list(value.items())


def _severity(place: str, name: str, severity: object) -> tuple[str, str]:
    if not _SELECTOR.fullmatch(name):
        raise SettingsError(place, f"severities.{name}", severity, _ALLOWED[_SELECTOR])
    if severity not in [*Severity, _OFF]:
        raise SettingsError(place, f"severities.{name}", severity, ", ".join([*Severity, _OFF]))
    return name, str(severity)


def _items(place: str, key: str, value: object, pattern: re.Pattern[str] | None) -> tuple[str, ...]:
    if not isinstance(value, list) or any(isinstance(item, bool) or not isinstance(item, str | int) for item in value):
        raise SettingsError(place, key, value, 'a list such as ["PEN101", 2]')
    items = tuple(str(item) for item in value)
    for item in items:
        if pattern is not None and not pattern.fullmatch(item):
            raise SettingsError(place, key, item, _ALLOWED[pattern])
    return items


_ALLOWED = {
    _SELECTOR: "issue numbers 1 to 8, and codes such as PEN101",
    _QUALIFIED: "qualified names such as vendor.client.Client",
}
