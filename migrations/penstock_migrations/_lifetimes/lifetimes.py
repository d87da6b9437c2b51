"""`Lifetimes`: the resources that a module makes and nobody closes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import words
from penstock_migrations._lifetimes.fates import End, Fate, Fates
from penstock_migrations._lifetimes.resources import Kind, Resource, made
from penstock_migrations.rule import Severity

__all__ = ["Leak", "Lifetimes"]

_LEAKS = frozenset({End.USED, End.LOST, End.LATE, End.LEFT, End.OWNED, End.ENTERED, End.IGNORED})


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """A resource that is not closed.

    Attributes:
        call: The call that makes it.
        name: What is called, qualified.
        resource: What it is.
        fate: What becomes of it.
        severity: How much it matters.
    """

    call: ast.Call
    name: str
    resource: Resource
    fate: Fate
    severity: Severity


class Lifetimes:
    """Follows the resources of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.fates = Fates(module)

    def leaks(self, resources: Mapping[str, Resource]) -> Iterator[Leak]:
        """Yield what is made and not closed."""
        for call, name, resource in made(self.module, resources):
            found = self._fate(call, resource)
            if found.end in _LEAKS:
                yield Leak(call, name, resource, found, self._severity(call, resource, found))

    def _fate(self, call: ast.Call, resource: Resource) -> Fate:
        around = self.module.parents[call]
        if isinstance(around, ast.IfExp) and (ignored := _ignored(around, call)):
            return Fate(End.IGNORED, ignored)
        if resource.open_after_with and isinstance(around, ast.withitem):
            found = self.fates.of_entered(around, resource.kind)
            return Fate(End.ENTERED, found.holder) if found.end is End.LOST else Fate(End.CLOSED)
        return self.fates.of(call, resource.kind)

    def _severity(self, call: ast.Call, resource: Resource, fate: Fate) -> Severity:
        if fate.end in (End.LATE, End.ENTERED) or resource.lasting:
            return Severity.LOW
        if fate.end is End.OWNED:
            inherited = resource.kind is Kind.SOCKET and self._has_unseen_base(call)
            return Severity.LOW if inherited or self._is_single(call) else Severity.MEDIUM
        if fate.end is End.LEFT:
            return Severity.MEDIUM if resource.kind is Kind.EXECUTOR else Severity.LOW
        if resource.kind is Kind.FILE:
            return Severity.MEDIUM
        return Severity.LOW if self._is_program(call) else Severity.HIGH

    def _is_program(self, call: ast.Call) -> bool:
        """Say whether a call is made once, by the program's main function or at import."""
        function = self.module.function(call)
        return function is None or "main" in words(function.name)

    def _has_unseen_base(self, call: ast.Call) -> bool:
        """Say whether a class of another module may close what it finds in its attributes."""
        around = self.module.class_around(call)
        return around is not None and any(self.module.qualified(base) is not None for base in around.bases)

    def _is_single(self, call: ast.Call) -> bool:
        """Say whether a class has one object, which lives as long as the process."""
        around = self.module.class_around(call)
        if around is None:
            return False
        if any(last_name(one.func) == around.name for one in self._made_at_import()):
            return True
        return any("singleton" in words(last_name(one)) for one in _marks(around)) or _keeps_instance(around)

    def _made_at_import(self) -> Iterator[ast.Call]:
        for statement in self.module.tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
                yield statement.value


def _ignored(choice: ast.IfExp, made: ast.Call) -> str:
    """Return the name that a choice takes if it is None, the wrong way round: `x if x is None else make()`."""
    match choice:
        case ast.IfExp(
            test=ast.Compare(left=ast.Name(id=name), ops=[ast.Is()], comparators=[ast.Constant(value=None)]),
            body=ast.Name(id=taken),
            orelse=otherwise,
        ) if name == taken and otherwise is made:
            return name
        case _:
            return ""


def _marks(around: ast.ClassDef) -> list[ast.expr]:
    """Return what says what kind of class it is: decorators, bases and the metaclass."""
    return [*around.decorator_list, *around.bases, *(keyword.value for keyword in around.keywords)]


def _keeps_instance(around: ast.ClassDef) -> bool:
    """Say whether a class keeps its only object: `_instance = None`."""
    targets = [target for node in around.body for target in _targets(node)]
    return any(
        isinstance(one, ast.Name) and words(one.id) in (("instance",), ("single", "instance")) for one in targets
    )


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []
