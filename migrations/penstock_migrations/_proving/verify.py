"""`verify`: after a codemod, is what was mended gone, is nothing new, does it compile, do the project's tests pass."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.files import discover
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._auditing.source import digest
from penstock_migrations._proving.guarded import GUARDED, Guarded
from penstock_migrations._proving.user_tests import TestRun, run_tests
from penstock_migrations._rewriting.source_text import check_compiles
from penstock_migrations.rule import Finding

__all__ = ["MODES", "Snapshot", "Verification", "listed", "runner", "trace", "tree_digest", "verify"]

MODES = ("off", "enforce")

Trace = tuple[str, str, str]


def trace(finding: Finding, names: Mapping[str, str]) -> Trace:
    """Return what stays of a finding when lines move and its neighbours are mended: file, code, function."""
    return names[finding.path], finding.code, finding.function or ""


def _names(files: Mapping[str, Path], base: Path) -> dict[str, str]:
    """Return the names of files within the project, which are the same wherever a command is called."""
    return {shown: os.path.relpath(os.path.realpath(file), base) for shown, file in files.items()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a codemod found and did; `verify` compares the code with it.

    Attributes:
        before: Traces of all findings before.
        mended: Traces of those that it mended.
        changed: The files that it changed.
        base: The folder that all paths are relative to; empty for the working directory.
        select: What the codemod looked for, and so what can be new: codes and issues; empty for everything.
    """

    before: tuple[Trace, ...] = ()
    mended: tuple[Trace, ...] = ()
    changed: tuple[str, ...] = ()
    base: str = ""
    select: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        before: Iterable[Finding],
        mended: Iterable[Finding],
        changed: Iterable[Path],
        files: Mapping[str, Path],
        base: Path,
        select: tuple[str, ...] = (),
    ) -> Self:
        """Take a snapshot of a codemod.

        Args:
            before: The findings before.
            mended: Those of them that were mended.
            changed: The files that were changed.
            files: All files, by the name that findings give them.
            base: The project's root.
            select: What the codemod looked for; empty for everything.
        """
        names = _names(files, base)
        rewritten = (os.path.relpath(file, base) for file in changed if file.suffix == ".py")
        return cls(
            tuple(trace(each, names) for each in before),
            tuple(trace(each, names) for each in mended),
            tuple(rewritten),
            str(base),
            select,
        )

    def to_json(self) -> str:
        """Return the snapshot as one JSON object."""
        return json.dumps({"version": 1, **dataclasses.asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            ValueError: It is no snapshot.
        """
        try:
            document = json.loads(text)
            traces = {key: tuple(_as_trace(each) for each in document[key]) for key in ("before", "mended")}
            changed, select = tuple(document["changed"]), tuple(document.get("select", ()))
            return cls(traces["before"], traces["mended"], changed, document["base"], select)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no snapshot: {error!r}") from None


def _as_trace(value: Sequence[str]) -> Trace:
    path, code, function = value
    return path, code, function


@dataclass(frozen=True, slots=True)
class Verification:
    """What verify saw.

    Attributes:
        tree: Hash over the Python files that it saw; evidence holds for this code only.
        mended: How many defects the codemod had mended.
        changed: The files that it had changed.
        problems: What came back or is new, one line each.
        broken: Files that do not compile or are gone, one line each.
        tests: The runs of the project's tests; empty without a command.
        guarded: One more run, in which the guard looks on; None if the others did not pass.
        fails_anyway: Whether the tests fail on the code before the codemod, too.
    """

    tree: str
    mended: int
    changed: tuple[str, ...]
    problems: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    tests: tuple[TestRun, ...] = ()
    guarded: TestRun | None = None
    fails_anyway: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the rewrite."""
        return not self.problems and not self.broken and all(run.passed for run in self.tests)

    @property
    def conclusive(self) -> bool:
        """Whether the tests ran in every mode."""
        return {run.mode for run in self.tests} >= set(MODES)

    def to_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps({"version": 1, **dataclasses.asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            ValueError: It is no verification.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(
                tree=document["tree"],
                mended=document["mended"],
                changed=tuple(document["changed"]),
                problems=tuple(document["problems"]),
                broken=tuple(document["broken"]),
                tests=tuple(_as_run(run) for run in document["tests"]),
                guarded=_as_run(document["guarded"]) if document["guarded"] else None,
                fails_anyway=document["fails_anyway"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no verification: {error!r}") from None


def _as_run(run: Mapping[str, Any]) -> TestRun:
    guard = Guarded.from_document(run["guard"]) if run["guard"] else None
    return TestRun(**{**run, "loaded": tuple(run["loaded"]), "guard": guard})


def verify(
    path: Path,
    settings: Settings,
    snapshot: Snapshot,
    *,
    run: Callable[[str, Mapping[str, Path]], TestRun] | None = None,
) -> Verification:
    """Compare code with the snapshot of a codemod, compile what that changed, and run the project's tests.

    Args:
        path: The file or folder that the codemod was given.
        settings: Of the project.
        snapshot: What the codemod looked for, found and did.
        run: Runs the tests in a mode, given the changed files; None to leave them out.
    """
    settings = dataclasses.replace(settings, select=snapshot.select)
    base = Path(snapshot.base).resolve()
    names = _names(listed(path, settings), base)
    changed = {name: base / name for name in snapshot.changed if (base / name).exists()}
    broken = (*_gone(snapshot, base), *_broken(changed))
    problems = tuple(_problems(snapshot, audit([path], settings).findings, names))
    tests = tuple(run(mode, changed) for mode in MODES) if run and not broken else ()
    guarded = run(GUARDED, changed) if run and tests and all(each.passed for each in tests) else None
    return Verification(
        tree=tree_digest(listed(path, settings)),  # the tests may have written files of their own
        mended=len(snapshot.mended),
        changed=tuple(changed),
        problems=problems,
        broken=broken,
        tests=tests,
        guarded=guarded,
    )


def listed(path: Path, settings: Settings) -> dict[str, Path]:
    """Return the Python files beneath a path that the settings do not exclude, by the name that findings give them."""
    return {each.shown: each.file for each in discover([path], settings.exclude) if each.error is None}


def tree_digest(files: Mapping[str, Path]) -> str:
    """Return a hash over the names and the content of files; one that cannot be read counts as empty."""
    return digest("\n".join(f"{path} {digest(_content(file))}" for path, file in sorted(files.items())).encode())


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _problems(snapshot: Snapshot, now: Sequence[Finding], names: Mapping[str, str]) -> Iterable[str]:
    allowed = Counter(snapshot.before) - Counter(snapshot.mended)
    mended = set(snapshot.mended)
    for finding in now:
        found = trace(finding, names)
        if names[finding.path] not in snapshot.changed:
            continue
        if allowed[found] > 0:
            allowed[found] -= 1
            continue
        what = "was mended and is found again" if found in mended else "is new"
        yield f"{finding.path}:{finding.line}: {finding.code} {what}"


def _gone(snapshot: Snapshot, base: Path) -> Iterable[str]:
    for name in snapshot.changed:
        if not (base / name).exists():
            yield f"{name}: was rewritten and is gone from {base}"


def _broken(changed: Mapping[str, Path]) -> Iterable[str]:
    for path, file in changed.items():
        try:
            check_compiles(file.read_bytes(), path)
        except SyntaxError as error:
            yield f"{path}: line {error.lineno or 1}: does not compile: {error.msg}"
        except OSError as error:
            yield f"{path}: cannot be read: {error.strerror}"


def runner(command: str, root: Path, timeout: float) -> Callable[[str, Mapping[str, Path]], TestRun]:
    """Return the function that runs the tests of a project for `verify`."""
    return lambda mode, changed: run_tests(command, root, mode, changed=changed, timeout=timeout)
