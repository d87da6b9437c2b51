"""Every test starts with no flag configured, and writes its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import penstock_flags
import penstock_flags._file_source
import pytest
from penstock_flags._project import Project
from penstock_flags._writer import initialize, set_mode

# How long a test waits for what must happen: far longer than it takes, so that a slow machine fails no test.
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    for variable in os.environ:
        if variable.startswith(("PENSTOCK_", "LAUNCHDARKLY_")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    # Look more often than a program does: tests that change files wait for less. Child processes keep the real pace.
    monkeypatch.setattr(penstock_flags._file_source, "POLL_SECONDS", 0.02)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The flags of a new project."""
    initialize(tmp_path / "feature_flags")
    return tmp_path / "feature_flags"


@pytest.fixture
def production(directory: Path) -> Path:
    """The file of the production environment."""
    return directory / "environments" / "production.json"


@pytest.fixture
def put(directory: Path):
    """Set bounded-fanout in production."""
    return lambda mode, **options: set_mode(Project(directory), "production", "bounded-fanout", mode, **options)


def replace(path: Path, content: str | bytes) -> None:
    """Put a whole new file in a file's place, so that whoever watches it sees nothing between."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    beside.replace(path)


def change_of(flags: penstock_flags.Flags, act: Callable[[], object]) -> None:
    """Do something, and wait until a mode has changed by it."""
    changed = threading.Event()
    unsubscribe = flags.subscribe(changed.set)
    act()
    assert changed.wait(PATIENCE), f"no mode has changed: {flags!r}"
    unsubscribe()


class Log:
    """The lines that a logger has written, which a test can wait for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.condition = threading.Condition()

    def write(self, line: str) -> None:
        with self.condition:
            self.lines.append(line)
            self.condition.notify_all()

    def wait_for(self, text: str) -> str:
        """Return the first line with a text, once it is there."""
        with self.condition:
            assert self.condition.wait_for(lambda: any(text in line for line in self.lines), PATIENCE), self.lines
            return next(line for line in self.lines if text in line)


@pytest.fixture
def log():
    """What `penstock.flags` and the SDK log, at every level."""
    import logging

    log = Log()
    handler = logging.Handler()
    handler.emit = lambda record: log.write(f"{record.levelname} {record.name} {record.getMessage()}")  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("penstock.flags", "ldclient", "urllib3")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield log
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
