"""`tell`: what the files tell, each by itself and all together."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from penstock_migrations._auditing.cache import Cache
from penstock_migrations._auditing.examine import Examined, examine_facts
from penstock_migrations._auditing.files import AuditedFile
from penstock_migrations._auditing.sites import site_as_data, site_of_data
from penstock_migrations._auditing.source import UnreadableError, read
from penstock_migrations._auditing.workers import Work, examine_all, no_collector
from penstock_migrations._code.facts import ModuleFacts
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Rule, Site

__all__ = ["Told", "tell"]

_FACTS_AT_HAND = 512  # files whose facts are kept decoded: those of ten thousand would be large


@dataclass(slots=True)
class Told:
    """What the audited files tell; files are known by the path shown.

    Attributes:
        hashes: The hash of each file that could be read.
        unreadable: Why a file could not be audited.
        sites: The sites of the files that have any, ordered by place.
        ignored: The codes that comments ignore, by line; an empty set ignores them all.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    sites: dict[str, list[Site]] = field(default_factory=lambda: defaultdict(list))
    ignored: dict[str, dict[int, frozenset[str]]] = field(default_factory=dict)

    def as_data(self) -> list[Any]:
        """Return it as JSON data, without the hashes."""
        sites = {file: [site_as_data(site) for site in found] for file, found in self.sites.items() if found}
        ignored = {
            file: {str(line): sorted(codes) for line, codes in found.items()}
            for file, found in self.ignored.items()
            if found
        }
        return [self.unreadable, sites, ignored]

    def learn(self, data: list[Any]) -> None:
        """Take over what `as_data` made into JSON data."""
        self.unreadable, sites, ignored = data
        self.sites.update((file, [site_of_data(site) for site in found]) for file, found in sites.items())
        self.ignored = {
            file: {int(line): frozenset(codes) for line, codes in found.items()} for file, found in ignored.items()
        }


def tell(
    files: Sequence[AuditedFile],
    rules: Sequence[Rule],
    work: Work,
    cache: Cache,
    jobs: int,
    progress: Callable[[int, int], None],
) -> Told:
    """Find out what files tell: from the cache as far as nothing has changed.

    Args:
        files: The files, ordered by the path shown.
        rules: The rules to run.
        work: The same rules by their codes, and what the project tells them.
        cache: What is known of contents seen before.
        jobs: How many processes may examine files.
        progress: Called with the number of files done and the number of all.
    """
    teller = _Teller(files, work, cache)
    contents = f"contents:{work}:{teller.contents()}"
    run = cache.get(contents)
    if run is not None and (known := cache.get(run)) is not None:
        teller.told.learn(json.loads(known))
        progress(len(files), len(files))
        return teller.told
    teller.examine(jobs, progress)
    run = f"run:{work}:{teller.findings()}"
    known = cache.get(run)
    if known is not None:  # what has changed in the files tells nothing new
        teller.told.learn(json.loads(known))
    else:
        with no_collector():
            project = teller.ask_all(rules)
        if project.left_the_audited:
            return teller.told
        cache.put(run, json.dumps(teller.told.as_data(), separators=(",", ":")))
    cache.put(contents, run)
    return teller.told


class _Teller:
    """The files of one audit, and what became known of each."""

    def __init__(self, files: Sequence[AuditedFile], work: Work, cache: Cache) -> None:
        self._files = {one.file: one for one in files}
        self._work = work
        self._cache = cache
        self._found: dict[Path, str] = {}  # as JSON
        self._facts_at_hand = lru_cache(_FACTS_AT_HAND)(self._facts)
        self.told = Told()
        for one in files:
            try:
                self.told.hashes[one.shown] = _readable(one)
            except UnreadableError as error:
                self.told.unreadable[one.shown] = str(error)

    def contents(self) -> str:
        """Return a hash of all that is read: which files, where, and their contents."""
        return self._hash(lambda one: self.told.hashes.get(one.shown) or self.told.unreadable[one.shown])

    def findings(self) -> str:
        """Return a hash of all that the files tell, each by itself: what is asked across files depends on no more."""
        return self._hash(self._told_by)

    def _told_by(self, one: AuditedFile) -> str:
        found = self._found.get(one.file) or self.told.unreadable[one.shown]
        # Of a file that could not be audited its content is asked.
        return found if '"facts":' in found else f"{found} {self.told.hashes.get(one.shown)}"

    def _hash(self, what: Callable[[AuditedFile], str]) -> str:
        digest = hashlib.sha256()
        for one in self._files.values():
            digest.update(f"{one.shown}\n{one.root}\n{what(one)}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()

    def examine(self, jobs: int, progress: Callable[[int, int], None]) -> None:
        """Find out what each file tells by itself: by parsing it where its content was not seen before."""
        readable = [file for file, one in self._files.items() if one.shown in self.told.hashes]
        missing = [file for file in readable if not self._is_known(file)]
        examined = len(self._files) - len(missing)
        progress(examined, len(self._files))

        def done(number: int) -> None:
            nonlocal examined
            examined += number
            progress(examined, len(self._files))

        for file, sha256, found in examine_all(missing, self._work, jobs, done):
            self._found[file] = found
            if sha256 is not None:  # it may have changed since it was read first
                self.told.hashes[self._files[file].shown] = sha256
                self._cache.put(self._key(sha256), found)

    def _is_known(self, file: Path) -> bool:
        known = self._cache.get(self._key(self.told.hashes[self._files[file].shown]))
        if known is not None:
            self._found[file] = known
        return known is not None

    def _key(self, sha256: str) -> str:
        return f"file:{self._work}:{sha256}"

    def ask_all(self, rules: Sequence[Rule]) -> Project:
        """Let the rules ask across files, and take note of the sites that are left and of those that come."""
        project = Project(
            {one.file: one.root for one in self._files.values()},
            {one.file: one.shown for one in self._files.values()},
            self._facts_at_hand,
        )
        by_code = {rule.code: rule for rule in rules}
        for file, found in self._found.items():
            self._settle(file, Examined.of_data(json.loads(found)), by_code, project)
        for rule in rules:
            for file, site in rule.survey(project, self._work.options) if rule.survey is not None else ():
                self.told.sites[self._files[file].shown].append(site)
        for sites in self.told.sites.values():
            sites.sort(key=lambda site: (site.line, site.column, site.code))
        return project

    def _settle(self, file: Path, examined: Examined, rules: dict[str, Rule], project: Project) -> None:
        shown = self._files[file].shown
        if examined.unreadable is not None:
            self.told.unreadable[shown] = examined.unreadable
        if examined.ignored:
            self.told.ignored[shown] = examined.ignored
        for site in examined.sites:
            settle = rules[site.code].settle
            settled = site if settle is None else settle(project, file, site)
            if settled is not None:
                self.told.sites[shown].append(settled)

    def _facts(self, file: Path) -> ModuleFacts | None:
        """Return what a module tells its importers; None if it cannot be read."""
        if file in self._found:
            data = json.loads(self._found[file])
            if "facts" in data:
                return ModuleFacts.of_data(data["facts"])
        with contextlib.suppress(UnreadableError):  # it is reported where the file itself is audited
            source = read(file)
            key = f"facts:{self._work.options}:{source.sha256}"
            known = self._cache.get(key)
            if known is None:
                known = json.dumps(examine_facts(source, self._work.options).as_data(), separators=(",", ":"))
                self._cache.put(key, known)
            return ModuleFacts.of_data(json.loads(known))
        return None


def _readable(audited: AuditedFile) -> str:
    """Return the hash of a file's content.

    Raises:
        UnreadableError: It cannot be read.
    """
    if audited.error is not None:
        raise UnreadableError(audited.error)
    return read(audited.file).sha256
