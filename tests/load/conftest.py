"""The migrated agents under load, each in a process of its own, against a provider in another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from examples.demo._load import SETTINGS, write_documents
from examples.demo._programs import Agents, Provider, agents, provider
from tests.examples.migrated import migrated_agents

PROVIDER_LIMIT = 24
LIMIT = 20  # of `api_call`, by default
DOCUMENTS = 30  # three questions for each: 90 calls at once
PATIENCE = 120.0  # seconds: far longer than it takes, so that a slow machine fails no test

Scenario = Callable[[Agents, Provider, str], Awaitable[Any]]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_agents(tmp_path_factory.mktemp("load") / "agents")


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("documents") / "all"
    write_documents(folder, DOCUMENTS)
    return str(folder)


@pytest.fixture
def under_load(documents: str):
    """Run a scenario with running agents, a running provider, and a folder of documents."""

    def run(
        project: Path,
        scenario: Scenario,
        *,
        provider_limit: int = PROVIDER_LIMIT,
        service: float = 0.1,
        **environment: str,
    ) -> Any:
        async def all_of_it() -> Any:
            async with asyncio.timeout(PATIENCE), provider(provider_limit, service=service) as asked:
                settings = {**SETTINGS, "PROVIDER_URL": f"{asked.url}/v1", **environment}
                async with agents(project, settings) as working:
                    return await scenario(working, asked, documents)

        return asyncio.run(all_of_it())

    return run
