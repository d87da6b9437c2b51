"""Where a project keeps its flags: `flags.toml`, and one file per environment beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_flags._declaration import Declaration, parse_declarations
from penstock_flags._errors import FlagsNotFoundError, InvalidFlagsError, Problem, UnknownEnvironmentError
from penstock_flags._lint import check_coverage, check_environment

__all__ = ["DIRECTORY", "ENVIRONMENTS", "Project", "packaged_declarations", "packaged_text"]

DIRECTORY = "feature_flags"

# In the order of a rollout.
ENVIRONMENTS = ("development", "staging", "canary", "production")


@dataclass(frozen=True, slots=True)
class Project:
    """The flags' folder of one project.

    Attributes:
        directory: The folder with `flags.toml` and `environments/`.
    """

    directory: Path

    @classmethod
    def find(cls, directory: str | os.PathLike[str] | None = None) -> Project | None:
        """Return the project in a folder, or the one that is configured, or the nearest one.

        Args:
            directory: The folder; by default `PENSTOCK_FLAGS_DIRECTORY`, else the first `feature_flags/` with a
                `flags.toml` in the current folder or one of those above it.

        Returns:
            The project; None when none is named and none is found.

        Raises:
            FlagsNotFoundError: The folder that is named has no `flags.toml`.
        """
        if named := directory or os.environ.get("PENSTOCK_FLAGS_DIRECTORY"):
            if not _has_flags(Path(named)):
                raise FlagsNotFoundError(Path(named))
            return cls(Path(named).resolve())
        candidates = (folder / DIRECTORY for folder in _from_here_upwards())
        return next((cls(folder) for folder in candidates if _has_flags(folder)), None)

    @property
    def environments(self) -> Sequence[str]:
        """The names of the environments: the RFC's four first, in the order of a rollout, then any other."""
        names = {path.stem for path in (self.directory / "environments").glob("*.json")}
        return [name for name in ENVIRONMENTS if name in names] + sorted(names - set(ENVIRONMENTS))

    def environment_file(self, environment: str) -> Path:
        """Return the path of an environment's file.

        Raises:
            UnknownEnvironmentError: There is no such file.
        """
        if environment not in self.environments:
            raise UnknownEnvironmentError(environment, self.environments)
        return self.directory / "environments" / f"{environment}.json"

    def declarations(self) -> dict[str, Declaration]:
        """Read `flags.toml`.

        Raises:
            InvalidFlagsError: It cannot be read, or something in it is wrong.
        """
        path = self.directory / "flags.toml"
        return parse_declarations(_text(path), str(path))

    def read(self, environment: str, declarations: Mapping[str, Declaration]) -> dict[str, Any]:
        """Read an environment's file.

        Raises:
            UnknownEnvironmentError: There is no such file.
            InvalidFlagsError: It cannot be read, or something in it is wrong.
        """
        path = self.environment_file(environment)
        document, problems = check_environment(_bytes(path), declarations, str(path))
        if problems:
            raise InvalidFlagsError(problems)
        return document

    def lint(self, environments: Sequence[str]) -> list[Problem]:
        """List everything that is wrong in `flags.toml` and in the files of some environments."""
        try:
            declarations = self.declarations()
        except InvalidFlagsError as error:
            return list(error.problems)
        problems: list[Problem] = []
        for environment in environments:
            path = self.environment_file(environment)
            try:
                document, found = check_environment(_bytes(path), declarations, str(path))
            except InvalidFlagsError as error:
                document, found = {}, list(error.problems)
            problems += found or check_coverage(document, declarations, str(path))
        return problems


def packaged_text() -> str:
    """Return the `flags.toml` that a new project begins with."""
    installed = Path(__file__).parent / "flags.toml"
    # A wheel carries the file of the checkout; an editable installation reads it where it lies.
    return (installed if installed.is_file() else Path(__file__).parents[1] / "flags.toml").read_text("utf-8")


def packaged_declarations() -> dict[str, Declaration]:
    """Return the flags that penstock itself knows: what counts where a project declares none."""
    return parse_declarations(packaged_text(), "flags.toml")


def _from_here_upwards() -> Sequence[Path]:
    try:
        here = Path.cwd()
    except OSError:  # the current folder has been removed
        return []
    return [here, *here.parents]


def _has_flags(folder: Path) -> bool:
    try:
        return (folder / "flags.toml").is_file()
    except OSError:  # a folder above that may not be looked into
        return False


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidFlagsError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFlagsError([Problem(str(path), "", f"no UTF-8: {error}")]) from None
