"""`Chains`: how one function comes to block through those that it calls, across the files of a project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary

from penstock_migrations._blocking.known import METHODS
from penstock_migrations._blocking.running import ITERATED, ONCE
from penstock_migrations._blocking.telling import ANY
from penstock_migrations._code.facts import CallFacts
from penstock_migrations._code.project import Known, Project

__all__ = ["Chain", "Chains", "Found", "chains"]

_DEEP = 6
_PLUGINS = 3  # classes that do HTTP in a method of one name
_MANY_PLUGINS = 100
_MOST = 0.6  # of those that have it
_CLIENT_METHODS = frozenset(name for _, names in METHODS.values() for name in names)
_CALLED = ("called", ITERATED)
_ORDER = ("http", "sdk", "sleep", "process")


@dataclass(frozen=True, slots=True)
class Chain:
    """The way from a function to what blocks.

    Attributes:
        kind: What kind of blocking it ends in.
        what: What blocks: `requests.get`.
        steps: The functions on the way, each with the place where it calls the next: `fetch (client.py:12)`.
        once: A function on the way keeps its result, so that it blocks a single time.
    """

    kind: str
    what: str
    steps: tuple[str, ...]
    once: bool = False

    @property
    def text(self) -> str:
        """The way in words."""
        return " -> ".join((*self.steps, self.what))


@dataclass(frozen=True, slots=True)
class Found:
    """A call that comes to block.

    Attributes:
        caller: The function that makes it.
        call: The call.
        chain: The way from what it calls.
    """

    caller: Known
    call: CallFacts
    chain: Chain


class Chains:
    """Answers how the functions of a project come to block."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known: dict[tuple[Path, str], tuple[int, Chain | None]] = {}
        self._way: set[tuple[Path, str]] = set()

    @cached_property
    def blocking(self) -> list[Found]:
        """The calls in coroutines that block through what they call, each once."""
        return [one for one in self._found if one.call.how in _CALLED]

    @cached_property
    def shipped(self) -> list[Found]:
        """The calls that ship to a thread what does HTTP, each once."""
        return [one for one in self._found if one.call.how == "shipped" and one.chain.kind in ("http", "sdk")]

    @cached_property
    def _found(self) -> list[Found]:
        return [found for caller in self.project.functions() for found in self._in(caller)]

    def _in(self, caller: Known) -> Iterable[Found]:
        """Return the calls of one function that come to block: the shortest way for each place and kind of call."""
        best: dict[tuple[int, int, bool], Found] = {}
        for call in caller.facts.calls:
            if not self._matters(caller, call):
                continue
            place = (call.line, call.column, call.how in _CALLED)
            chain = self.of_call(caller.file, call, _DEEP)
            if chain is not None and (place not in best or _rank(chain) < _rank(best[place].chain)):
                best[place] = Found(caller, call, chain)
        return best.values()

    def _matters(self, caller: Known, call: CallFacts) -> bool:
        if call.how == "shipped":
            return not self._is_nested(caller.file, call)
        return call.how in _CALLED and caller.facts.is_async

    def _is_nested(self, file: Path, call: CallFacts) -> bool:
        """Say whether a function defined in another one does HTTP itself: its own file shows that."""
        known = self.project.find(file, call.reference)
        if known is None or not any(one.kind in ("http", "sdk") for one in known.facts.blocks):
            return False
        outer = known.name.rpartition(".")[0]
        around = self.project.find(known.file, f":{outer}") if outer else None
        return around is not None and around.name == outer

    def of_call(self, file: Path, call: CallFacts, deep: int) -> Chain | None:
        """Return the way from what a call runs to what blocks, if there is one."""
        if call.reference.startswith(ANY):
            return self._of_any(call.reference.removeprefix(ANY), deep)
        known = self.project.find(file, call.reference)
        if known is None and call.reference.rpartition(".")[2][:1].isupper():
            known = self.project.find(file, f"{call.reference}.__init__")
        if known is None:
            return self._of_made_client(file, call)
        return None if known.facts.runs == ITERATED != call.how else self.of(known, deep)

    def _of_any(self, method: str, deep: int) -> Chain | None:
        """Return the way from a method that most classes which have it do HTTP in, as plug-ins of one kind do."""
        found = self._methods.get(method, [])
        if not _PLUGINS <= len(found) <= _MANY_PLUGINS:
            return None
        ways = [one for one in (self.of(known, deep) for known in found) if one is not None and one.kind == "http"]
        if len(ways) < max(_PLUGINS, len(found) * _MOST):
            return None
        best = min(ways, key=_rank)
        return replace(best, steps=(f"any {method}, as {best.steps[0]}", *best.steps[1:]))

    @cached_property
    def _methods(self) -> dict[str, list[Known]]:
        """The synchronous methods of the project, by their bare names."""
        found = defaultdict(list)
        for known in self.project.functions():
            owner, _, name = known.name.rpartition(".")
            if owner.rpartition(".")[2][:1].isupper() and not known.facts.is_async:
                found[name].append(known)
        return found

    def of(self, known: Known, deep: int) -> Chain | None:
        """Return the shortest way from a function to what blocks; HTTP goes before the rest."""
        key = (known.file, known.name)
        if known.facts.is_async or deep == 0 or key in self._way:
            return None
        before = self._known.get(key)
        if before is not None and (before[1] is not None or before[0] >= deep):
            return before[1]
        self._way.add(key)
        try:
            found = self._best(known, deep)
        finally:
            self._way.discard(key)
        self._known[key] = (deep, found)
        return found

    def _best(self, known: Known, deep: int) -> Chain | None:
        ways = [self._step(known, one.line, Chain(one.kind, one.what, ())) for one in known.facts.blocks]
        if any(one.kind == "http" for one in ways):
            return min(ways, key=_rank)
        for call in known.facts.calls:
            further = self.of_call(known.file, call, deep - 1) if call.how in _CALLED else None
            ways += [self._step(known, call.line, further)] if further is not None else []
        return min(ways, key=_rank, default=None)

    def _step(self, known: Known, line: int, rest: Chain) -> Chain:
        place = f"{_short(known.name)} ({Path(self.project.shown(known.file)).name}:{line})"
        return replace(rest, steps=(place, *rest.steps), once=rest.once or known.facts.runs == ONCE)

    def _of_made_client(self, file: Path, call: CallFacts) -> Chain | None:
        """Recognise `session.get` where a function of another file made the session."""
        maker, _, method = call.reference.rpartition(".")
        known = self.project.find(file, maker) if method in _CLIENT_METHODS and maker.strip(":.") else None
        if known is None or known.facts.makes is None or method not in METHODS[known.facts.makes][1]:
            return None
        return Chain("http", f"{known.facts.makes}.{method}", ())


_KEPT: WeakKeyDictionary[Project, Chains] = WeakKeyDictionary()


def chains(project: Project) -> Chains:
    """Return a project's chains, looked for once for all rules."""
    if project not in _KEPT:
        _KEPT[project] = Chains(project)
    return _KEPT[project]


def _rank(chain: Chain) -> tuple[int, bool, int]:
    return _ORDER.index(chain.kind), chain.once, len(chain.steps)


def _short(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[-2:]) if len(parts) > 1 and parts[-2][:1].isupper() else parts[-1]
