"""The journey's commands, run as people run them: a process in the project's folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.demo._processes import Done
from examples.demo._programs import copy_of_agents, penstock
from tests.examples.migrated import migrated_agents

Run = Callable[..., Done]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example as it was written."""
    return copy_of_agents(tmp_path / "agents")


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """The example after phase 1, with flags of its own."""
    return migrated_agents(tmp_path / "migrated")


@pytest.fixture
def run() -> Run:
    """Run a penstock command in a project's folder."""
    return lambda project, *arguments: asyncio.run(penstock(project, *arguments))
