"""`Baseline`: the runs of a program that later ones are compared with, in a file."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from penstock_monitoring._perf.errors import BaselineError
from penstock_monitoring._perf.files import write_json
from penstock_monitoring._perf.run import Run

__all__ = ["Baseline", "Machine", "medians"]

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Machine:
    """What a program runs on, as far as its costs depend on it.

    Attributes:
        python: The version of the language, such as `3.11`.
        implementation: Of the language.
        system: The operating system and the processor's architecture.
        cpus: How many processors there are.
    """

    python: str
    implementation: str
    system: str
    cpus: int

    @classmethod
    def this(cls) -> Machine:
        """Return the one that this runs on."""
        version = ".".join(platform.python_version_tuple()[:2])
        system = f"{platform.system()} {platform.machine()}"
        return cls(version, platform.python_implementation(), system, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Runs of a command.

    Attributes:
        name: What people know it by.
        command: The program and its arguments.
        folder: Where it runs, relative to the folder of the file.
        runs: Its runs, in order.
        recorded: When, in Unix seconds.
        machine: On what.
    """

    name: str
    command: tuple[str, ...]
    folder: str
    runs: tuple[Run, ...]
    recorded: float = field(default_factory=time.time)
    machine: Machine = field(default_factory=Machine.this)

    def write(self, file: Path) -> None:
        """Write it.

        Raises:
            BaselineError: The file cannot be written.
        """
        document = {
            "version": _VERSION,
            "kind": "performance-baseline",
            "name": self.name,
            "recorded": self.recorded,
            "command": list(self.command),
            "folder": self.folder,
            "machine": asdict(self.machine),
            "median": asdict(medians(self.runs)),
            "runs": [asdict(run) for run in self.runs],
        }
        write_json(file, document)

    @classmethod
    def read(cls, file: Path) -> Baseline:
        """Read one.

        Raises:
            BaselineError: The file is missing, cannot be read, is no baseline or another version's.
        """
        again = "record it anew with `penstock perf record`"
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BaselineError(f"{file} does not exist; {again}") from None
        except OSError as error:
            raise BaselineError(f"{file} cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise BaselineError(f"{file} is no baseline: no valid JSON ({error}); {again}") from None
        if not isinstance(document, dict) or document.get("kind") != "performance-baseline":
            raise BaselineError(f"{file} is no performance baseline; {again}")
        if document.get("version") != _VERSION:
            told = f"{file} is a baseline of version {document.get('version')!r}, this penstock reads {_VERSION}"
            raise BaselineError(f"{told}; {again}")
        try:
            return cls._from_document(document)
        except (KeyError, TypeError, ValueError) as error:
            raise BaselineError(f"{file} is no baseline: {error!r}; {again}") from None

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> Baseline:
        runs = tuple(Run.from_dict(each) for each in document["runs"])
        command = document["command"]
        if not runs or not command:
            raise ValueError("it has no runs, or no command")
        if not isinstance(command, list) or not all(isinstance(each, str) and "\0" not in each for each in command):
            raise ValueError("its command is no list of a program and its arguments")
        machine = {name: document["machine"][name] for name in ("python", "implementation", "system", "cpus")}
        return cls(
            name=str(document["name"]),
            command=tuple(command),
            folder=str(document["folder"]),
            runs=runs,
            recorded=float(document["recorded"]),
            machine=Machine(**machine),
        )


def medians(runs: Sequence[Run]) -> Run:
    """Return the median of each figure of several runs; None of those that not all have."""
    figures = [asdict(run) for run in runs]
    values = {name: [each[name] for each in figures] for name in figures[0]}
    return Run.from_dict({name: None if None in each else median(each) for name, each in values.items()})
