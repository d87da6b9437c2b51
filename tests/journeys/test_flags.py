"""Flags switch a running program, on and back, and nobody restarts it."""

from __future__ import annotations

import asyncio

import pytest

from examples.demo._load import SETTINGS, research, wait_for_mode, write_documents
from examples.demo._programs import agents, penstock, provider

PATIENCE = 120.0


def test_a_running_program_follows_the_flag_and_back(migrated, tmp_path):
    """Off, observe, enforce and off again reach one process that goes on working."""
    write_documents(tmp_path / "documents", 2)

    async def flips():
        modes = []
        async with asyncio.timeout(PATIENCE), provider(1000, service=0.01) as asked:
            settings = SETTINGS | {"PROVIDER_URL": f"{asked.url}/v1"}
            async with agents(migrated, settings) as working:
                await research(working, "first", tmp_path / "documents")
                for mode in ("observe", "enforce", "off"):
                    done = await penstock(migrated, "flags", "set", "bounded-fanout", mode, "--env", "development")
                    assert done.status == 0, done.errors
                    await wait_for_mode(working, mode)
                    window = await research(working, mode, tmp_path / "documents")
                    modes.append(window.limiter["mode"])
        return modes

    assert asyncio.run(flips()) == ["observe", "enforce", "off"]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_flag_set_in_one_environment_leaves_the_others_alone(migrated, run, environment):
    """What is tried in development does not reach those who run elsewhere."""
    run(migrated, "flags", "set", "bounded-fanout", "enforce", "--env", "development")
    listed = run(migrated, "flags", "list", "--env", environment)

    assert listed.status == 0
    assert "enforce" not in listed.output
