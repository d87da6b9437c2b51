"""`Resolver`: follows calls into other functions and modules, to see whether they take a limiter there."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock_migrations._code.limits import FunctionFacts, Limits
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import Reaching

__all__ = ["ModuleFacts", "Resolver", "module_facts"]

_CALLS_DEEP = 3
_NAMES_DEEP = 6


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What one module tells about its functions and names.

    Attributes:
        functions: Facts of each function, by qualified name.
        bases: References of the base classes of each class, by qualified name.
        imports: What imported names stand for.
    """

    functions: dict[str, FunctionFacts]
    bases: dict[str, tuple[str, ...]]
    imports: dict[str, str]


def module_facts(module: Module) -> ModuleFacts:
    """Look at every function of a module."""
    limits = Limits(Reaching(module))
    functions = {name: _combined(list(map(limits.facts, found))) for name, found in module.functions.items()}
    bases = {name: _bases(limits, found) for name, found in module.classes.items()}
    return ModuleFacts(functions, bases, dict(module.imports))


def _bases(limits: Limits, found: ast.ClassDef) -> tuple[str, ...]:
    return tuple(reference for base in found.bases for reference in limits.references.of_class(base))


def _combined(found: list[FunctionFacts]) -> FunctionFacts:
    """Join the facts of functions of one name: overloads, or variants for platforms."""
    return FunctionFacts(
        limits=any(one.limits for one in found),
        endless=any(one.endless for one in found),
        calls=tuple(dict.fromkeys(ref for one in found for ref in one.calls)),
    )


class Resolver:
    """Looks references up: `:Class.method` in the module itself, `.sibling.name`, `package.module.name` in others."""

    def __init__(self, facts: Callable[[Path], ModuleFacts | None]) -> None:
        self._facts = facts
        self._modules: dict[tuple[str, str], Path | None] = {}

    def limits(self, file: Path, root: Path, references: tuple[str, ...]) -> bool:
        """Say whether each of some functions, as seen from a file, takes a limiter, itself or in what it calls."""
        return bool(references) and all(self._limits(file, root, one, _CALLS_DEEP, set()) for one in references)

    def is_endless(self, file: Path, root: Path, references: tuple[str, ...]) -> bool:
        """Say whether one of some functions may never end, or waits for its peers."""
        found = [self._function(file, root, one, _NAMES_DEEP) for one in references]
        return any(one is not None and one[2].endless for one in found)

    def _limits(self, file: Path, root: Path, reference: str, depth: int, seen: set[tuple[Path, str]]) -> bool:
        found = self._function(file, root, reference, _NAMES_DEEP)
        if found is None:
            return False
        where, name, facts = found
        if (where, name) in seen:
            return False
        seen.add((where, name))
        if facts.limits or depth == 0:
            return facts.limits
        return any(self._limits(where, root, call, depth - 1, seen) for call in facts.calls)

    def _function(self, file: Path, root: Path, reference: str, hops: int) -> tuple[Path, str, FunctionFacts] | None:
        if hops == 0:
            return None
        if reference.startswith(":"):
            return self._in_module(file, root, reference[1:], hops)
        place = self._located(file, root, reference)
        return None if place is None else self._in_module(place[0], root, place[1], hops)

    def _in_module(self, file: Path, root: Path, name: str, hops: int) -> tuple[Path, str, FunctionFacts] | None:
        facts = self._facts(file)
        if facts is None:
            return None
        if name in facts.functions:
            return file, name, facts.functions[name]
        first, _, rest = name.partition(".")
        if first in facts.imports:
            reference = facts.imports[first] + (f".{rest}" if rest else "")
            return self._function(file, root, reference, hops - 1)
        owner, _, method = name.rpartition(".")
        for base in facts.bases.get(owner, ()):
            if (found := self._function(file, root, f"{base}.{method}", hops - 1)) is not None:
                return found
        return None

    def _located(self, file: Path, root: Path, reference: str) -> tuple[Path, str] | None:
        """Return the file that defines what a reference names, and its name there."""
        level = len(reference) - len(reference.lstrip("."))
        parts = reference.lstrip(".").split(".")
        if level:
            bases = [file.parents[level - 1]] if level <= len(file.parents) else []
        else:
            bases = _import_folders(file, root)
        for length in range(len(parts) - 1, -1 if level else 0, -1):
            for base in bases:
                if (found := self._module(base, parts[:length])) is not None and found != file:
                    return found, ".".join(parts[length:])
        return None

    def _module(self, base: Path, parts: list[str]) -> Path | None:
        key = (str(base), ".".join(parts))
        if key not in self._modules:
            stem = base.joinpath(*parts)
            tried = [stem / "__init__.py"] if not parts else [stem.with_name(f"{stem.name}.py"), stem / "__init__.py"]
            self._modules[key] = next((one for one in tried if one.is_file()), None)
        return self._modules[key]


def _import_folders(file: Path, root: Path) -> list[Path]:
    """Return the folders from which a file's imports may start: its ancestors, up to the parent of its own package."""
    top = file.parent
    while (top / "__init__.py").is_file() and top.parent != top:
        top = top.parent
    return [base for base in file.parents if base.is_relative_to(root.parent) or base.is_relative_to(top)]
