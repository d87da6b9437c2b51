"""`ChangedLines`: which lines have changed since a git revision, in the working tree."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Self

from penstock_migrations.rule import Finding

__all__ = ["ChangedLines", "GitError"]

_HUNK = re.compile(rb"^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class GitError(Exception):
    """Git cannot tell; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What has changed in a file: lines that came, and lines after which others went; `wholly` if it is new."""

    lines: set[int] = field(default_factory=set)
    gaps: set[int] = field(default_factory=set)
    wholly: bool = False


class ChangedLines:
    """The lines of Python files that differ from where the work began to part from a revision.

    What is committed since, staged, changed and not yet added counts alike.

    Args:
        changes: The change of each file.
    """

    def __init__(self, changes: dict[Path, _Change]) -> None:
        self._changes = changes

    @classmethod
    def since(cls, revision: str, paths: Iterable[Path]) -> Self:
        """Ask git.

        Args:
            revision: A branch, a tag or a commit.
            paths: Files and folders; each is asked for in its own repository.

        Raises:
            GitError: Git is missing, a path is in no repository, or the revision is not there.
        """
        changes: dict[Path, _Change] = {}
        folders = dict.fromkeys(path if path.is_dir() else path.parent for path in paths)
        for root in dict.fromkeys(map(_repository, folders)):
            changes.update(_changes(root, _base(root, revision)))
        return cls(changes)

    def concern(self, finding: Finding, file: Path) -> bool:
        """Say whether one of a finding's lines has changed, or one between them went."""
        change = self._changes.get(Path(os.path.realpath(file)))
        if change is None:
            return False
        inner = range(finding.line, finding.end_line)
        return (
            change.wholly
            or not change.lines.isdisjoint(range(finding.line, finding.end_line + 1))
            or not change.gaps.isdisjoint(inner)
        )


def _repository(folder: Path) -> Path:
    try:
        return Path(os.path.realpath(os.fsdecode(_git(folder, "rev-parse", "--show-toplevel").rstrip(b"\n"))))
    except GitError as error:
        if "not a git repository" in str(error):
            raise GitError(f"{folder} is in no git repository") from None
        raise


def _base(root: Path, revision: str) -> str:
    try:
        commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitError as error:
        if str(error):
            raise
        raise GitError(f"there is no revision {revision!r} in {root}; is it fetched?") from None
    try:
        return _git(root, "merge-base", commit.decode().strip(), "HEAD").decode().strip()
    except GitError as error:
        told = str(error) or f"{revision!r} and HEAD have no common commit here"
        raise GitError(f"{told}; a shallow clone needs more history: git fetch --unshallow") from None


def _changes(root: Path, base: str) -> Iterator[tuple[Path, _Change]]:
    options = (
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "-M",
        "--src-prefix=a/",
        "--dst-prefix=b/",
    )
    change = _Change()
    lines = iter(_git(root, "diff", *options, base, "--", "*.py").split(b"\n"))
    for line in lines:
        if line.startswith(b"+++ "):
            change = _Change()
            yield root / _name(line[4:]), change
        elif hunk := _HUNK.match(line):
            old, start, new = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
            change.lines.update(range(start, start + new))
            if not new:
                change.gaps.add(start)
            deque(islice(lines, old + new), maxlen=0)  # its lines may look like anything
    unknown = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py")
    for name in filter(None, unknown.split(b"\0")):
        yield root / os.fsdecode(name), _Change(wholly=True)


def _name(shown: bytes) -> str:
    """Return the file's name of a line `+++ b/name`: git quotes what is no plain text, and ends names with a tab."""
    if not shown.startswith(b'"'):
        return os.fsdecode(shown.removesuffix(b"\t").removeprefix(b"b/"))
    plain = shown.rstrip(b"\t")[1:-1].decode("ascii", "backslashreplace")
    return os.fsdecode(plain.encode().decode("unicode_escape").encode("latin-1").removeprefix(b"b/"))


def _git(folder: Path, *arguments: str) -> bytes:
    """Return what git prints.

    Raises:
        GitError: It is missing or fails; the message is the last that it said, and may be empty.
    """
    try:
        done = subprocess.run(  # noqa: S603 - git, with arguments of this module
            ["git", "-C", str(folder), "-c", "core.quotePath=true", *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            env=os.environ | {"LC_ALL": "C"},
            check=False,
        )
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror}") from None
    if done.returncode:
        told = os.fsdecode(done.stderr).strip().splitlines()
        raise GitError(told[-1].removeprefix("fatal: ") if told else "")
    return done.stdout
