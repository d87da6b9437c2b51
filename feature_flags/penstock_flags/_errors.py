"""What can be wrong with flags.

FlagsError
├── FlagsNotFoundError        the folder with flags.toml is not there
├── UnknownEnvironmentError   no environments/<name>.json
├── UnknownFlagError          flags.toml does not declare it
├── InvalidFlagsError         a file says what cannot be; has `problems`
├── FlagsExistError           a file that a new project needs is there already
└── FlagsLockedError          somebody else is writing, and does not end
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "FlagsError",
    "FlagsExistError",
    "FlagsLockedError",
    "FlagsNotFoundError",
    "InvalidFlagsError",
    "Problem",
    "UnknownEnvironmentError",
    "UnknownFlagError",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one place.

    Attributes:
        file: The file's path.
        key: Where in the file, as a dotted path; empty for the whole file.
        message: The value found, and what is allowed.
    """

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.message}" if self.key else f"{self.file}: {self.message}"


class FlagsError(Exception):
    """Flags cannot be opened, read or written; the message says what to do."""


class FlagsNotFoundError(FlagsError, LookupError):
    """The folder with `flags.toml` is not there."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"no flags in {directory}: it needs flags.toml and environments/*.json; "
            f"`penstock flags init --directory {directory}` writes them"
        )


class UnknownEnvironmentError(FlagsError, LookupError):
    """The environment has no file."""

    def __init__(self, environment: str, known: Sequence[str]) -> None:
        allowed = ", ".join(known) or "none, the folder environments/ is empty"
        super().__init__(f"unknown environment {environment!r}; allowed are: {allowed}")


class UnknownFlagError(FlagsError, LookupError):
    """No flag is declared by that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no flag {name!r} is declared in flags.toml; declared are: {', '.join(known) or 'none'}")


class InvalidFlagsError(FlagsError, ValueError):
    """A file says what cannot be.

    Attributes:
        problems: All that is wrong, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class FlagsExistError(FlagsError, FileExistsError):
    """A file that a new project needs is there already."""

    def __init__(self, present: Sequence[Path]) -> None:
        super().__init__(f"already there, and left alone: {', '.join(map(str, present))}")


class FlagsLockedError(FlagsError, TimeoutError):
    """Another process holds the lock of the environments for too long."""

    def __init__(self, lock: Path, seconds: float) -> None:
        super().__init__(f"another process has been writing flags for {seconds:g} s and holds {lock}; try again")
