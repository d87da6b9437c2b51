"""`Project`: the audited files' functions together, for what no file tells alone."""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._code.endings import Ending
from penstock_migrations._code.facts import FunctionFacts, ModuleFacts

__all__ = ["Known", "Project"]

_CALLS_DEEP = 6
_NAMES_DEEP = 6
_DECLARATIONS = ("pyproject.toml", "setup.cfg", "setup.py", ".git")
_MOST_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Known:
    """A function that was found.

    Attributes:
        file: The file that defines it.
        name: Its qualified name there.
        facts: What it tells.
    """

    file: Path
    name: str
    facts: FunctionFacts


class Project:
    """Looks references up: `:Class.method` in the module itself, `.sibling.name`, `package.module.name` in others.

    Args:
        roots: The audited path under which each audited file was found.
        shown: The path that findings show, for each audited file.
        facts: Returns what a file tells; None if it cannot be read.
    """

    def __init__(
        self,
        roots: Mapping[Path, Path],
        shown: Mapping[Path, str],
        facts: Callable[[Path], ModuleFacts | None],
    ) -> None:
        self.left_the_audited = False  # it has looked into files that are not audited
        self._roots = dict(roots)
        self._shown = shown
        self._facts = facts
        self._modules: dict[str, Path | None] = {}
        self._folders: dict[tuple[str, Path, int], list[str]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._around: dict[Path, list[Path]] = {}
        self._matches: dict[tuple[Path, re.Pattern[bytes]], list[tuple[Path, bytes]]] = {}
        self._callers: dict[str, list[tuple[Path, str, str]]] | None = None

    # -- what rules ask -------------------------------------------------------------------------------------------

    def find(self, file: Path, reference: str) -> Known | None:
        """Return the function that a reference means, as seen from a file."""
        return self._function(file, reference, _NAMES_DEEP)

    def functions(self) -> Iterator[Known]:
        """Yield every function of the audited files, ordered by the path shown."""
        for file in self._shown:
            if (facts := self._facts(file)) is not None:
                yield from (Known(file, name, one) for name, one in facts.functions.items())

    def callers(self, file: Path, name: str) -> list[Known]:
        """Return the functions of the audited files that call a function, ordered by place."""
        if self._callers is None:
            self._callers = defaultdict(list)
            for known in self.functions():
                for word in dict.fromkeys((_last(call.reference), call.reference) for call in known.facts.calls):
                    self._callers[word[0]].append((known.file, known.name, word[1]))
        found = []
        for where, caller, reference in self._callers.get(_last(name), ()):
            callee = self.find(where, reference)
            facts = self._facts(where)
            if callee is not None and (callee.file, callee.name) == (file, name) and facts is not None:
                found.append(Known(where, caller, facts.functions[caller]))
        return found

    def mentioning(self, file: Path, pattern: re.Pattern[bytes]) -> list[Path]:
        """Return the files around a file, of the same project, that are not audited, name it, and match a pattern.

        Args:
            file: The file.
            pattern: What is looked for in them, as the name of a function.
        """
        self.left_the_audited = True  # more files may come
        stem = file.parent.name if file.stem == "__init__" else file.stem
        named = re.compile(rf"\b{re.escape(stem)}\b".encode())
        found = []
        for other in self._unaudited(_top(file)):
            with contextlib.suppress(OSError):
                text = other.read_bytes()
                if named.search(text) and pattern.search(text):
                    found.append(other)
        return found

    def matching(self, file: Path, pattern: re.Pattern[bytes]) -> list[tuple[Path, bytes]]:
        """Return the files of a file's project, audited or not, that match a pattern, with their text.

        Args:
            file: The file.
            pattern: What is looked for in each of them, once.
        """
        top = _top(file)
        if not top.is_relative_to(self._roots[file].absolute()) or self._unaudited(top):
            self.left_the_audited = True
        if (top, pattern) not in self._matches:
            audited = [one for one in self._shown if one.absolute().is_relative_to(top)]
            texts = [(one, _text(one)) for one in (*audited, *self._unaudited(top))]
            self._matches[top, pattern] = [(one, text) for one, text in texts if pattern.search(text)]
        return self._matches[top, pattern]

    def _unaudited(self, top: Path) -> list[Path]:
        """Return the Python files beneath a folder that are not audited, without environments and caches."""
        if top not in self._around:
            audited = {os.path.realpath(one) for one in self._shown}
            self._around[top] = [one for one in _beneath(top) if os.path.realpath(one) not in audited]
        return self._around[top]

    def shown(self, file: Path) -> str:
        """Return the path by which people are told of a file."""
        return self._shown.get(file, file.name)

    def limits(self, file: Path, references: Iterable[str]) -> bool:
        """Say whether each of some functions, as seen from a file, takes a limiter, itself or in what it calls."""
        found = list(references)
        return bool(found) and all(self._limits(file, one, _CALLS_DEEP, set()) for one in found)

    def ending(self, file: Path, references: Iterable[str]) -> Ending:
        """Say how some functions, as seen from a file, end, with those that they wait for: the worst of them."""
        return max((self._ending(file, one, _CALLS_DEEP, set()) for one in references), default=Ending.ALONE)

    # -- how it is found ------------------------------------------------------------------------------------------

    def _limits(self, file: Path, reference: str, depth: int, seen: set[tuple[Path, str]]) -> bool:
        found = self.find(file, reference)
        if found is None or (found.file, found.name) in seen:
            return False
        seen.add((found.file, found.name))
        if found.facts.limits or depth == 0:
            return found.facts.limits
        return any(self._limits(found.file, call.reference, depth - 1, seen) for call in found.facts.calls)

    def _ending(self, file: Path, reference: str, depth: int, seen: set[tuple[Path, str]]) -> Ending:
        found = self.find(file, reference)
        if found is None or (found.file, found.name) in seen:
            return Ending.ALONE
        seen.add((found.file, found.name))
        awaited = [call.reference for call in found.facts.calls if depth and call.how == "awaited"]
        inner = (self._ending(found.file, one, depth - 1, seen) for one in awaited)
        return max([Ending(found.facts.ending), *inner])

    def _function(self, file: Path, reference: str, hops: int) -> Known | None:
        if hops == 0:
            return None
        if reference.startswith(":"):
            return self._in_module(file, reference[1:], hops)
        place = self._located(file, reference)
        return None if place is None else self._in_module(place[0], place[1], hops)

    def _in_module(self, file: Path, name: str, hops: int) -> Known | None:
        facts = self._facts(file)
        if facts is None:
            return None
        if name in facts.functions:
            return Known(file, name, facts.functions[name])
        first, _, rest = name.partition(".")
        if first in facts.imports:
            reference = facts.imports[first] + (f".{rest}" if rest else "")
            return self._function(file, reference, hops - 1)
        owner, _, method = name.rpartition(".")
        for base in facts.bases.get(owner, ()):
            if (found := self._function(file, f"{base}.{method}", hops - 1)) is not None:
                return found
        return None

    def _located(self, file: Path, reference: str) -> tuple[Path, str] | None:
        """Return the file that defines what a reference names, and its name there."""
        name = reference.lstrip(".")
        level = len(reference) - len(name)
        parts = name.split(".")
        bases = self._bases(file, level, parts[0])
        for length in range(len(parts) - 1, -1 if level else 0, -1) if bases else ():
            for base in bases:
                if (found := self._module(base, parts[:length], file)) is not None and found != file:
                    return found, ".".join(parts[length:])
        return None

    def _module(self, base: str, parts: list[str], asking: Path) -> Path | None:
        stem = base + "/".join(parts)  # as text, which is many times faster here
        if stem not in self._modules:
            tried = [Path(stem, "__init__.py")] if not parts else [Path(f"{stem}.py"), Path(stem, "__init__.py")]
            found = next((one for one in tried if one in self._shown or one.is_file()), None)
            self._modules[stem] = found
            if found is not None and found not in self._roots:
                self._roots[found] = self._roots[asking]
                self.left_the_audited = True
        return self._modules[stem]

    def _bases(self, file: Path, level: int, first: str) -> list[str]:
        """Return the folders from which a reference may start, as prefixes; those without its first part are left out.

        A relative reference starts at its package, which may be all that it names.
        """
        key = (os.fspath(file).rpartition(os.sep)[0], self._roots[file], level)
        if key not in self._folders:
            above = list(file.parents)[level - 1 : level] if level else _import_folders(file, self._roots[file])
            self._folders[key] = ["" if base == Path() else f"{str(base).rstrip('/')}/" for base in above]
        return [base for base in self._folders[key] if level or first in self._names_in(base)]

    def _names_in(self, folder: str) -> frozenset[str]:
        """Return the modules and folders in a folder."""
        if folder not in self._names:
            with contextlib.suppress(OSError):
                self._names[folder] = frozenset(one.name.removesuffix(".py") for one in Path(folder).iterdir())
            self._names.setdefault(folder, frozenset())
        return self._names[folder]


def _import_folders(file: Path, root: Path) -> list[Path]:
    top = file.parent
    while (top / "__init__.py").is_file() and top.parent != top:
        top = top.parent
    return [base for base in file.parents if base.is_relative_to(root.parent) or base.is_relative_to(top)]


def _text(file: Path) -> bytes:
    with contextlib.suppress(OSError):
        return file.read_bytes()
    return b""


def _top(file: Path) -> Path:
    """Return the nearest folder that declares a project or is a repository; without any, where imports start."""
    file = file.absolute()
    for folder in file.parents:
        if folder == Path.home():
            break
        if any((folder / name).exists() for name in _DECLARATIONS):
            return folder
    top = file.parent
    while (top / "__init__.py").is_file() and top.parent != top:
        top = top.parent
    return top


def _beneath(top: Path) -> Iterator[Path]:
    """Yield the Python files beneath a folder, as far as one project has any."""
    number = 0
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_environment(Path(folder, name))]
        for name in files:
            number += 1
            if name.endswith(".py"):
                yield Path(folder, name)
        if number > _MOST_FILES:
            return


def _is_environment(folder: Path) -> bool:
    return folder.name in ("__pycache__", "node_modules", "site-packages") or (folder / "pyvenv.cfg").is_file()


def _last(name: str) -> str:
    return name.rpartition(".")[2].lstrip(":")
