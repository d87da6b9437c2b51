"""Copies of examples/agents, as they are and after phase 1, made by the commands that everybody uses."""

from __future__ import annotations

import asyncio
from pathlib import Path

from examples.demo._by_hand import mend, watch
from examples.demo._programs import copy_of_agents, penstock


def migrated_agents(folder: Path) -> Path:
    """Copy the agents, let the codemod rewrite them, and do by hand what it leaves."""
    project = copy_of_agents(folder)
    written = asyncio.run(penstock(project, "codemod", ".", "--write"))
    assert written.status in (0, 1), written.errors
    if written.status:
        mend(project)
    watch(project)
    initialized = asyncio.run(penstock(project, "flags", "init"))
    assert initialized.status == 0, initialized.errors
    return project
