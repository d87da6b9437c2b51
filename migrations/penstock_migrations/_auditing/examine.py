"""`examine`: everything the audit finds out about one file's content, without asking other files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from penstock_migrations._auditing.functions import module_facts
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.sites import site_as_data, site_of_data
from penstock_migrations._auditing.source import Source, UnreadableError, parse, suppressions
from penstock_migrations._code.facts import ModuleFacts
from penstock_migrations._code.module import Module
from penstock_migrations.rule import Defect, Options, Rule, Site

__all__ = ["Examined", "examine", "examine_facts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Examined:
    """What one file's content told.

    Attributes:
        unreadable: Why it could not be audited; None if it could.
        sites: The defects that it shows by itself.
        facts: What its functions tell other files; None if it is unreadable.
        ignored: The codes that comments ignore, by line; an empty set ignores them all.
    """

    unreadable: str | None = None
    sites: tuple[Site, ...] = ()
    facts: ModuleFacts | None = None
    ignored: dict[int, frozenset[str]] | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data, without what is empty."""
        data: dict[str, Any] = {}
        if self.unreadable is not None:
            data["unreadable"] = self.unreadable
        if self.sites:
            data["sites"] = [site_as_data(site) for site in self.sites]
        if self.facts is not None:
            data["facts"] = self.facts.as_data()
        if self.ignored:
            data["ignored"] = {str(line): sorted(codes) for line, codes in self.ignored.items()}
        return data

    @classmethod
    def of_data(cls, data: dict[str, Any]) -> Examined:
        """Return what `as_data` made into JSON data, without the facts: those are read when they are asked for."""
        return cls(
            data.get("unreadable"),
            tuple(site_of_data(site) for site in data.get("sites", ())),
            None,
            {int(line): frozenset(codes) for line, codes in data.get("ignored", {}).items()},
        )


def examine(source: Source, options: Options, codes: Sequence[str]) -> Examined:
    """Run the rules of some codes over a file.

    Args:
        source: The file's content.
        options: What the project tells its rules.
        codes: The rules' codes.
    """

    def run() -> Examined:
        text, tree = parse(source)
        module = Module(tree, text)
        listed = (*options.managed_classes, *options.blocking_calls)
        triggered = _holds_one(_triggers(tuple(codes), listed), source.data)
        wanted = [rule for rule in rules() if triggered and rule.code in codes]
        sites = [_site(module, rule, defect) for rule in wanted for defect in rule.detect(module, options)]
        facts = module_facts(module, options)
        module.forget()
        return Examined(None, tuple(sites), facts, suppressions(text))

    try:
        return _nested_at_will(run)
    except UnreadableError as error:
        return Examined(unreadable=str(error))


@cache
def _triggers(codes: tuple[str, ...], listed: tuple[str, ...]) -> list[bytes]:
    """Return what a file holds one of, or none of some rules has anything to find in it.

    Args:
        codes: The rules' codes.
        listed: The qualified names that the project tells its rules; a file that uses one holds its last word.
    """
    triggers = {trigger for rule in rules() if rule.code in codes for trigger in rule.triggers}
    return sorted(triggers | {name.rpartition(".")[2].encode() for name in listed})


def _holds_one(triggers: list[bytes], data: bytes) -> bool:
    """Say whether a file holds a trigger; that which it holds is looked for first in the next, which is often alike."""
    for place, trigger in enumerate(triggers):
        if trigger in data:
            triggers.insert(0, triggers.pop(place))
            return True
    return False


def examine_facts(source: Source, options: Options | None = None) -> ModuleFacts:
    """Return what a file's functions tell, also where no rule has anything to look for in it.

    Raises:
        UnreadableError: It does not decode or parse.
    """

    def run() -> ModuleFacts:
        text, tree = parse(source)
        return module_facts(Module(tree, text), options or Options())

    return _nested_at_will(run)


def _nested_at_will(work: Callable[[], T]) -> T:
    """Do something that recurses over a tree, which may be nested deeper than the interpreter's stack."""
    try:
        return work()
    except (RecursionError, MemoryError):
        raise UnreadableError("nested too deeply to be audited") from None


def _site(module: Module, rule: Rule, defect: Defect) -> Site:
    node = defect.node
    return Site(
        code=rule.code,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        column=module.character_column(node) + 1,
        first_line=module.statement(node).lineno,
        function=module.qualname(module.function(node)),
        severity=defect.severity,
        message=defect.message,
        fix=defect.fix,
        fix_reason=defect.fix_reason,
        text=ast.unparse(node),
        rewrites=defect.rewrites,
        callees=defect.callees,
    )
