"""`audit`: paths in, findings out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from penstock_migrations._auditing.cache import Cache
from penstock_migrations._auditing.examine import Examined, examine_facts
from penstock_migrations._auditing.files import AuditedFile, discover
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._auditing.source import UnreadableError, read
from penstock_migrations._auditing.workers import Work, examine_all
from penstock_migrations._code.facts import ModuleFacts
from penstock_migrations._code.project import Project
from penstock_migrations.rule import Finding, Rule, Site

__all__ = ["Report", "Unreadable", "Unused", "audit"]

_FACTS_AT_HAND = 512  # files whose facts are kept decoded


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that could not be audited.

    Attributes:
        path: Its path, as findings show theirs.
        reason: Why, in one line.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unused:
    """A comment `# penstock: ignore` that suppresses nothing.

    Attributes:
        path: Its file's path, as findings show theirs.
        line: Its line, from 1.
        codes: The codes that it names in vain; empty if it names none.
    """

    path: str
    line: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found.

    Attributes:
        files: How many files it read.
        unreadable: The files it could not audit.
        findings: The defects, ordered by place.
        elapsed_seconds: How long it took.
        unused: The comments that suppress nothing, ordered by place.
    """

    files: int
    unreadable: tuple[Unreadable, ...]
    findings: tuple[Finding, ...]
    elapsed_seconds: float
    unused: tuple[Unused, ...] = ()


def audit(
    paths: Sequence[Path],
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Find the defects in Python files.

    Args:
        paths: Files, and folders to search.
        settings: What to look for, and where.
        jobs: How many processes may examine files. With more than one, `__main__` is imported in each.
        progress: Called with the number of files done and the number of all.

    Raises:
        WorkerError: A process that examined files was ended from outside.
    """
    started = time.perf_counter()
    files = discover(paths, settings.exclude)
    with Cache() as cache:
        audited = _Audited(files, settings, cache)
        audited.examine(jobs, progress or _unseen)
        findings, unused = audited.findings()
    unreadable = audited.unreadable()
    return Report(len(files) - len(unreadable), unreadable, findings, time.perf_counter() - started, unused)


def _unseen(_done: int, _total: int) -> None:
    """Show nothing of the progress."""


class _Audited:
    """The files of one audit and what each of them told; then what they tell together."""

    def __init__(self, files: Sequence[AuditedFile], settings: Settings, cache: Cache) -> None:
        self._files = {one.file: one for one in files}
        self._settings = settings
        self._cache = cache
        self._rules = {rule.code: rule for rule in rules() if settings.wants(rule.code)}
        self._work = Work(settings.options, tuple(self._rules))
        self._hashes: dict[Path, str] = {}
        self._found: dict[Path, str] = {}  # as JSON: decoded, the facts of ten thousand files would be large
        self._facts_at_hand = lru_cache(_FACTS_AT_HAND)(self._facts)

    # -- file by file ---------------------------------------------------------------------------------------------

    def examine(self, jobs: int, progress: Callable[[int, int], None]) -> None:
        """Find out what each file tells: from the cache where its content was seen before, else by parsing it."""
        missing: list[Path] = []
        for file, one in self._files.items():
            if one.error is not None:
                self._found[file] = json.dumps(Examined(unreadable=one.error).as_data())
            elif not self._is_cached(file):
                missing.append(file)
        examined = len(self._files) - len(missing)
        progress(examined, len(self._files))

        def done(number: int) -> None:
            nonlocal examined
            examined += number
            progress(examined, len(self._files))

        for file, sha256, found in examine_all(missing, self._work, jobs, done):
            self._found[file] = found
            if sha256 is not None:
                self._hashes[file] = sha256
                self._cache.put(self._key(sha256), found)

    def _is_cached(self, file: Path) -> bool:
        try:
            sha256 = read(file).sha256
        except UnreadableError as error:
            self._found[file] = json.dumps(Examined(unreadable=str(error)).as_data())
            return True
        known = self._cache.get(self._key(sha256))
        if known is None:
            return False
        self._hashes[file] = sha256
        self._found[file] = known
        return True

    def _key(self, sha256: str) -> str:
        return f"file:{self._work}:{sha256}"

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Return the files that could not be audited."""
        found = [(self._files[file].shown, json.loads(told)) for file, told in self._found.items()]
        return tuple(Unreadable(shown, data["unreadable"]) for shown, data in found if "unreadable" in data)

    # -- all together ---------------------------------------------------------------------------------------------

    def findings(self) -> tuple[tuple[Finding, ...], tuple[Unused, ...]]:
        """Return the findings, and the comments that suppress nothing, each ordered by place."""
        sites, ignored = self._sites()
        used: set[tuple[Path, int, str]] = set()
        findings: list[Finding] = []
        for file in sorted(sites, key=lambda file: self._files[file].shown):
            kept = [site for site in sites[file] if not _suppressing(file, site, ignored.get(file, {}), used)]
            findings += self._reported(file, kept)
        findings.sort(key=lambda finding: (finding.path, finding.line, finding.column, finding.code))
        return tuple(findings), tuple(self._unused(ignored, used))

    def _sites(self) -> tuple[dict[Path, list[Site]], dict[Path, dict[int, frozenset[str]]]]:
        """Return the sites of each file when all have been asked, and what its comments ignore."""
        project = Project(
            {one.file: one.root for one in self._files.values()},
            {one.file: one.shown for one in self._files.values()},
            self._facts_at_hand,
        )
        sites: dict[Path, list[Site]] = defaultdict(list)
        ignored: dict[Path, dict[int, frozenset[str]]] = {}
        for file in self._files:
            examined = Examined.of_data(json.loads(self._found[file]))
            ignored[file] = examined.ignored or {}
            settled = [_settled(self._rules[site.code], project, file, site) for site in examined.sites]
            sites[file] += [site for site in settled if site is not None]
        for rule in self._rules.values():
            for file, site in rule.survey(project, self._work.options) if rule.survey is not None else ():
                sites[file].append(site)
        for found in sites.values():
            found.sort(key=lambda site: (site.line, site.column, site.code))
        return sites, ignored

    def _reported(self, file: Path, sites: Iterable[Site]) -> Iterator[Finding]:
        base = _project_path(self._files[file])
        seen: Counter[str] = Counter()
        for site in sites:
            if not self._settings.reports(site.code, site.severity):
                continue
            identity = "\n".join((site.code, base, site.function or "", site.text))
            seen[identity] += 1
            numbered = f"{identity}\n{seen[identity]}".encode(errors="surrogatepass")
            fingerprint = hashlib.sha256(numbered).hexdigest()[:16]
            yield _finding(
                self._rules[site.code], site, self._files[file].shown, fingerprint, self._hashes.get(file, "")
            )

    def _unused(
        self, ignored: dict[Path, dict[int, frozenset[str]]], used: set[tuple[Path, int, str]]
    ) -> Iterator[Unused]:
        """Yield the comments that suppress nothing; what they name of rules that did not run is left out."""
        everything = len(self._rules) == len(rules())
        known = {rule.code for rule in rules()}
        for file in self._files:
            for line, codes in sorted(ignored[file].items()):
                judged = {code for code in codes if code in self._rules or code not in known}
                vain = tuple(sorted(code for code in judged if (file, line, code) not in used))
                idle = not codes and everything and not any((file, line, code) in used for code in self._rules)
                if vain or idle:
                    yield Unused(self._files[file].shown, line, vain)

    # -- what other files ask -------------------------------------------------------------------------------------

    def _facts(self, file: Path) -> ModuleFacts | None:
        """Return what a module tells its importers; None if it cannot be read."""
        if file in self._found:
            data = json.loads(self._found[file])
            if "facts" in data:
                return ModuleFacts.of_data(data["facts"])
        with contextlib.suppress(UnreadableError):  # it is reported where the file itself is audited
            source = read(file)
            key = f"facts:{source.sha256}"
            known = self._cache.get(key)
            if known is None:
                known = json.dumps(examine_facts(source).as_data(), separators=(",", ":"))
                self._cache.put(key, known)
            return ModuleFacts.of_data(json.loads(known))
        return None


def _settled(rule: Rule, project: Project, file: Path, site: Site) -> Site | None:
    return site if rule.settle is None else rule.settle(project, file, site)


def _suppressing(file: Path, site: Site, ignored: dict[int, frozenset[str]], used: set[tuple[Path, int, str]]) -> bool:
    """Say whether a comment on one of a site's lines leaves it out, and take note of those that do."""
    lines = {site.first_line, *range(site.line, site.end_line + 1)}
    found = [line for line in lines if line in ignored and (not ignored[line] or site.code in ignored[line])]
    used.update((file, line, site.code) for line in found)
    return bool(found)


def _finding(rule: Rule, site: Site, path: str, fingerprint: str, sha256: str) -> Finding:
    return Finding(
        code=rule.code,
        name=rule.name,
        issue=rule.issue,
        phase=rule.phase,
        path=path,
        line=site.line,
        end_line=site.end_line,
        column=site.column,
        function=site.function,
        severity=site.severity,
        message=site.message,
        fix=site.fix,
        fix_reason=site.fix_reason,
        fingerprint=fingerprint,
        sha256=sha256,
        rewrites=site.rewrites,
    )


@lru_cache(4096)
def _marked(folder: Path) -> bool:
    return any((folder / marker).exists() for marker in ("pyproject.toml", "penstock.toml", "setup.py", ".git"))


def _project_path(audited: AuditedFile) -> str:
    """Return the file's path within its project, which is the same from wherever the audit is run."""
    file = audited.file.absolute()
    folder = next((one for one in file.parents if _marked(one)), None)
    return audited.shown if folder is None else file.relative_to(folder).as_posix()
