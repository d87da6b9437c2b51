"""`audit`: paths in, findings out."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from penstock_migrations._auditing.cache import Cache
from penstock_migrations._auditing.files import AuditedFile, discover
from penstock_migrations._auditing.rules import rules
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._auditing.source import Source, UnreadableError, parse, read, suppressions
from penstock_migrations._code.endless import ENDLESS_WORK
from penstock_migrations._code.limits import FunctionFacts
from penstock_migrations._code.module import Module
from penstock_migrations._code.resolver import ModuleFacts, Resolver, module_facts
from penstock_migrations.rule import Defect, Finding, Fix, Options, ReplaceCall, Rewrite, Rule, Severity, UnwrapCall

__all__ = ["Report", "Unreadable", "audit"]

T = TypeVar("T")


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
class Report:
    """What an audit found.

    Attributes:
        files: How many files it read.
        unreadable: The files it could not audit.
        findings: The defects, ordered by place.
        elapsed_seconds: How long it took.
    """

    files: int
    unreadable: tuple[Unreadable, ...]
    findings: tuple[Finding, ...]
    elapsed_seconds: float


def audit(paths: Sequence[Path], settings: Settings, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Find the defects in Python files.

    Args:
        paths: Files, and folders to search.
        settings: What to look for, and where.
        progress: Called with the number of files done and the number of all.
    """
    started = time.perf_counter()
    files = discover(paths, settings.exclude)
    unreadable: list[Unreadable] = []
    findings: list[Finding] = []
    with Cache() as cache:
        examiner = _Examiner(cache, settings)
        for done, audited in enumerate(files, start=1):
            try:
                findings.extend(examiner.findings(audited))
            except UnreadableError as error:
                unreadable.append(Unreadable(audited.shown, str(error)))
            if progress is not None:
                progress(done, len(files))
    findings.sort(key=lambda finding: (finding.path, finding.line, finding.column, finding.code))
    return Report(len(files) - len(unreadable), tuple(unreadable), tuple(findings), time.perf_counter() - started)


class _Examiner:
    """Examines files one by one: from the cache where their content was seen before, else by parsing them."""

    def __init__(self, cache: Cache, settings: Settings) -> None:
        self._cache = cache
        self._settings = settings
        self._resolver = Resolver(self._facts)
        self._known: dict[Path, ModuleFacts | None] = {}

    def findings(self, audited: AuditedFile) -> Iterator[Finding]:
        if audited.error is not None:
            raise UnreadableError(audited.error)
        source = read(audited.file)
        base = _project_path(audited)
        seen: Counter[str] = Counter()
        for site in self._resolved(audited, self._sites(source)):
            if not self._settings.reports(site["code"], Severity(site["severity"])):
                continue
            identity = "\n".join((site["code"], base, site["function"] or "", site["text"]))
            seen[identity] += 1
            fingerprint = hashlib.sha256(f"{identity}\n{seen[identity]}".encode(errors="surrogatepass")).hexdigest()[
                :16
            ]
            yield _finding(site, audited.shown, fingerprint, source.sha256)

    def _resolved(self, audited: AuditedFile, sites: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the defects that are left when other modules have been asked, too."""
        without_end = {"severity": Severity.LOW, "fix": Fix.NONE, "fix_reason": ENDLESS_WORK, "rewrites": []}
        for site in sites:
            callees = tuple(site["callees"])
            if not self._resolver.limits(audited.file, audited.root, callees):
                endless = self._resolver.is_endless(audited.file, audited.root, callees)
                yield site | without_end if endless else site

    def _sites(self, source: Source) -> list[dict[str, Any]]:
        """Return the defects of a file's content as JSON data."""
        key = f"sites:{self._settings.options}:{source.sha256}"
        known: Any = self._cache.get(key)
        if known is None:
            try:
                known = {"sites": _detect(source, self._settings.options)}
            except UnreadableError as error:
                known = {"unreadable": str(error)}
            self._cache.put(key, known)
        if "unreadable" in known:
            raise UnreadableError(known["unreadable"])
        sites: list[dict[str, Any]] = known["sites"]
        return sites

    def _facts(self, file: Path) -> ModuleFacts | None:
        """Return what a module tells its importers; None if it cannot be read."""
        if file not in self._known:
            self._known[file] = None
            with contextlib.suppress(UnreadableError):  # it is reported where the file itself is audited
                self._known[file] = self._content_facts(read(file))
        return self._known[file]

    def _content_facts(self, source: Source) -> ModuleFacts:
        key = f"facts:{source.sha256}"
        known = self._cache.get(key)
        if known is None:
            known = asdict(_nested_at_will(lambda: module_facts(_module(source))))
            self._cache.put(key, known)
        functions = {
            name: FunctionFacts(facts["limits"], facts["endless"], tuple(facts["calls"]))
            for name, facts in known["functions"].items()
        }
        return ModuleFacts(functions, {name: tuple(bases) for name, bases in known["bases"].items()}, known["imports"])


def _detect(source: Source, options: Options) -> list[dict[str, Any]]:
    """Run the rules over a file, and leave out what its comments tell to ignore."""
    text, tree = parse(source)
    wanted = [rule for rule in rules() if any(trigger in source.data for trigger in rule.triggers)]
    if not wanted:
        return []

    def run() -> list[dict[str, Any]]:
        module = Module(tree, _lines(text))
        ignored = suppressions(text)
        found = [(rule, defect) for rule in wanted for defect in rule.detect(module, options)]
        return [_site(module, rule, defect) for rule, defect in found if not _is_ignored(module, rule, defect, ignored)]

    return _nested_at_will(run)


def _nested_at_will(work: Callable[[], T]) -> T:
    """Do something that recurses over a tree, which may be nested deeper than the interpreter's stack."""
    try:
        return work()
    except (RecursionError, MemoryError):
        raise UnreadableError("nested too deeply to be audited") from None


def _module(source: Source) -> Module:
    text, tree = parse(source)
    return Module(tree, _lines(text))


def _site(module: Module, rule: Rule, defect: Defect) -> dict[str, Any]:
    node = defect.node
    return {
        "code": rule.code,
        "line": node.lineno,
        "end_line": node.end_lineno or node.lineno,
        "column": module.character_column(node) + 1,
        "function": module.qualname(module.function(node)),
        "severity": defect.severity,
        "message": defect.message,
        "fix": defect.fix,
        "fix_reason": defect.fix_reason,
        "text": ast.unparse(node),
        "rewrites": [{"kind": type(one).__name__, **asdict(one)} for one in defect.rewrites],
        "callees": list(defect.callees),
    }


def _finding(site: dict[str, Any], path: str, fingerprint: str, sha256: str) -> Finding:
    rule = next(rule for rule in rules() if rule.code == site["code"])
    return Finding(
        code=rule.code,
        name=rule.name,
        issue=rule.issue,
        phase=rule.phase,
        path=path,
        line=site["line"],
        end_line=site["end_line"],
        column=site["column"],
        function=site["function"],
        severity=Severity(site["severity"]),
        message=site["message"],
        fix=Fix(site["fix"]),
        fix_reason=site["fix_reason"],
        fingerprint=fingerprint,
        sha256=sha256,
        rewrites=tuple(map(_rewrite, site["rewrites"])),
    )


def _rewrite(data: dict[str, Any]) -> Rewrite:
    if data["kind"] == UnwrapCall.__name__:
        return UnwrapCall(data["line"], data["column"])
    keywords = tuple((name, value) for name, value in data["keywords"])
    return ReplaceCall(data["line"], data["column"], data["callee"], keywords)


def _is_ignored(module: Module, rule: Rule, defect: Defect, ignored: dict[int, frozenset[str]]) -> bool:
    statement = module.statement(defect.node)
    lines = {statement.lineno, *range(defect.node.lineno, (defect.node.end_lineno or defect.node.lineno) + 1)}
    return any(line in ignored and (not ignored[line] or rule.code in ignored[line]) for line in lines)


def _lines(text: str) -> list[str]:
    """Split a text into lines as the parser counts them: form feeds and other separators end none."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _project_path(audited: AuditedFile) -> str:
    """Return the file's path within its project, which is the same from wherever the audit is run."""
    file = audited.file.absolute()
    markers = ("pyproject.toml", "penstock.toml", "setup.py", ".git")
    for folder in file.parents:
        if any((folder / marker).exists() for marker in markers):
            return file.relative_to(folder).as_posix()
    return audited.shown
