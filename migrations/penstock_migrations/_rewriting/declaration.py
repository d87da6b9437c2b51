"""`declare`: add what a rewritten project now needs to the place where it declares its dependencies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, Table

from penstock_migrations._rewriting.project import read_toml
from penstock_migrations._rewriting.source_text import RewriteError

__all__ = ["Declaration", "declare", "python_note", "undeclared"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declaration file with the needed distributions added.

    Attributes:
        file: The file.
        before: Its bytes before.
        after: Its bytes after; the same if nothing was missing.
    """

    file: Path
    before: bytes
    after: bytes


def declare(root: Path, names: Sequence[str]) -> Declaration:
    """Add distributions to the first of pyproject.toml, setup.cfg and requirements.txt that declares dependencies.

    Args:
        root: The project's root.
        names: The distributions.

    Raises:
        RewriteError: The project declares its dependencies nowhere, or in code.
    """
    places: tuple[tuple[str, Callable[[str, Sequence[str]], str | None]], ...] = (
        ("pyproject.toml", _in_pyproject),
        ("setup.cfg", _in_setup_cfg),
        ("requirements.txt", _in_requirements),
    )
    for name, add in places:
        file = root / name
        if not file.is_file():
            continue
        before = file.read_bytes()
        after = _added(name, before, add, names)
        if after is not None:
            return Declaration(file, before, after)
    if (root / "setup.py").is_file():
        raise RewriteError("the project declares its dependencies in code, setup.py")
    raise RewriteError("the project declares its dependencies nowhere")


def undeclared(root: Path, names: Sequence[str]) -> list[str]:
    """Return those of the distributions that the project does not declare where `declare` would."""

    def is_declared(name: str) -> bool:
        try:
            declaration = declare(root, [name])
        except (RewriteError, OSError):
            return False
        return declaration.before == declaration.after

    return [name for name in names if not is_declared(name)]


def python_note(root: Path) -> str | None:
    """Say so if the project promises to run on a Python that the runtime does not run on."""
    promised = str(read_toml(root / "pyproject.toml").get("project", {}).get("requires-python", ""))
    needed = distribution("penstock-migrations").metadata["Requires-Python"]  # the runtime's is the same
    floors = [re.search(r">=?\s*3\.(\d+)", each) for each in (promised, needed)]
    if floors[0] is None or floors[1] is None or int(floors[0][1]) >= int(floors[1][1]):
        return None
    return f"pyproject.toml: requires-python is {promised!r}, and penstock-limits needs {needed}: raise it"


def _added(
    name: str, before: bytes, add: Callable[[str, Sequence[str]], str | None], names: Sequence[str]
) -> bytes | None:
    """Work on text with plain line ends, and give the file its own back."""
    try:
        text = before.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RewriteError(f"{name} cannot be decoded: {error}") from None
    mark = before[: len(before) - len(text.encode())]
    crlf = "\r\n" in text
    after = add(text.replace("\r\n", "\n"), names)
    if after is None:
        return None
    if after == text.replace("\r\n", "\n"):
        return before
    return mark + (after.replace("\n", "\r\n") if crlf else after).encode()


def _missing(names: Sequence[str], present: Sequence[str]) -> list[str]:
    known = {_normalized(each) for each in present}
    return [name for name in names if name not in known]


def _normalized(requirement: str) -> str:
    """Return a requirement's name as the package index spells it."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def _in_pyproject(text: str, names: Sequence[str]) -> str | None:
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise RewriteError(f"pyproject.toml cannot be parsed: {error}") from None
    project, poetry = document.get("project"), document.get("tool", {}).get("poetry", {})
    if isinstance(project, Table) and "dependencies" not in project.get("dynamic", []):
        if "dependencies" not in project and "dependencies" in poetry:
            return _in_poetry(document, poetry, names)
        if "dependencies" not in project:
            project.add("dependencies", tomlkit.array())
        dependencies: Any = project["dependencies"]
        return _in_array(document, dependencies, names)
    if "dependencies" in poetry:
        return _in_poetry(document, poetry, names)
    return None


def _in_array(document: tomlkit.TOMLDocument, array: Array, names: Sequence[str]) -> str:
    missing = _missing(names, [str(item) for item in array])
    multiline = "\n" in array.as_string()
    for name in missing:
        if multiline:
            found = re.search(r"\n([ \t]+)\S", array.as_string())
            array.add_line(name, indent=found[1] if found else "    ")
        else:
            array.append(name)
    return tomlkit.dumps(document)


def _in_poetry(document: tomlkit.TOMLDocument, poetry: Any, names: Sequence[str]) -> str:
    table = poetry["dependencies"]
    for name in _missing(names, list(table)):
        table.add(name, "*")
    return tomlkit.dumps(document)


def _in_setup_cfg(text: str, names: Sequence[str]) -> str | None:
    """Add lines to `install_requires`; comments and order stay, which configparser would lose."""
    found = re.search(r"^install_requires[ \t]*=[^\n]*\n(?P<lines>(?:(?:[ \t]+[^\n]*)?\n)*)", text + "\n", re.MULTILINE)
    if found is None or not found["lines"].strip():
        return None
    lines = found["lines"].rstrip()
    indent = re.match(r"[ \t]*", found["lines"])
    missing = _missing(names, lines.splitlines())
    added = "".join(f"\n{indent[0] if indent else '    '}{name}" for name in missing)
    at = found.start("lines") + len(lines)
    return text[:at] + added + text[at:]


def _in_requirements(text: str, names: Sequence[str]) -> str:
    missing = _missing(names, text.splitlines())
    if not missing:
        return text
    return text + ("" if not text or text.endswith("\n") else "\n") + "".join(f"{name}\n" for name in missing)
