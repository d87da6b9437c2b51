"""`flags.toml`: which flag switches which capability, who owns it, and what counts when it cannot be told."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penstock_flags._errors import InvalidFlagsError, Problem

__all__ = ["MODES", "Declaration", "Mode", "parse_declarations"]

Mode = Literal["off", "observe", "enforce"]

# From the safest to the strictest: the order of every flag's variations.
MODES: tuple[Mode, ...] = ("off", "observe", "enforce")


@dataclass(frozen=True, slots=True)
class Declaration:
    """One flag, as `flags.toml` declares it.

    Attributes:
        key: The flag's key, the same in LaunchDarkly and in the environments' files.
        capability: What programs ask for; the flag's key unless said otherwise.
        phase: The phase that opens the flag; also the seed of its rollouts, so that every flag of a phase reaches the
            same instances first.
        description: What it switches, for people.
        owner: Whom to ask.
        default: The mode that counts when the flag cannot be told.
    """

    key: str
    capability: str
    phase: int
    description: str
    owner: str
    default: Mode = "off"


_TYPES: Mapping[str, type] = {"capability": str, "phase": int, "description": str, "owner": str, "default": str}
_REQUIRED = ("phase", "description", "owner")


def parse_declarations(text: str, file: str) -> dict[str, Declaration]:
    """Read `flags.toml`.

    Args:
        text: The file's text.
        file: The file's path, for messages.

    Returns:
        Each flag's declaration by its key, in the file's order.

    Raises:
        InvalidFlagsError: Something in it is wrong; all of it is listed.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidFlagsError([Problem(file, "", f"no TOML: {error}")]) from None
    problems = [Problem(file, key, "unknown; allowed is: flags") for key in tables if key != "flags"]
    flags = tables.get("flags")
    if not isinstance(flags, dict):
        raise InvalidFlagsError([*problems, Problem(file, "flags", "missing; write one table [flags.KEY] per flag")])
    for key, table in flags.items():
        problems += _problems(file, key, table)
    if problems:
        raise InvalidFlagsError(problems)
    declarations = {key: Declaration(**{"key": key, "capability": key, **table}) for key, table in flags.items()}
    if twice := _switched_twice(declarations, file):
        raise InvalidFlagsError(twice)
    return declarations


def _problems(file: str, key: str, table: Any) -> list[Problem]:
    where = f"flags.{key}"
    if not isinstance(table, dict):
        return [Problem(file, where, f"{table!r} is no table; write [flags.{key}]")]
    found = [Problem(file, f"{where}.{name}", "missing") for name in _REQUIRED if name not in table]
    for name, value in table.items():
        if name not in _TYPES:
            found.append(Problem(file, f"{where}.{name}", f"unknown; allowed are: {', '.join(_TYPES)}"))
        elif not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            found.append(Problem(file, f"{where}.{name}", f"{value!r} must be of type {_TYPES[name].__name__}"))
        elif name == "phase" and value not in range(1, 5):
            found.append(Problem(file, f"{where}.phase", f"{value} is no phase; allowed are: 1, 2, 3, 4"))
        elif name == "default" and value not in MODES:
            found.append(Problem(file, f"{where}.default", f"{value!r} is no mode; allowed are: {', '.join(MODES)}"))
    return found


def _switched_twice(declarations: Mapping[str, Declaration], file: str) -> list[Problem]:
    first: dict[str, str] = {}
    return [
        Problem(
            file, f"flags.{flag.key}.capability", f"{flag.capability!r} is switched by {first[flag.capability]} too"
        )
        for flag in declarations.values()
        if first.setdefault(flag.capability, flag.key) != flag.key
    ]
