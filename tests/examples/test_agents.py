"""The example before any migration: it works, and it is as bad as its README says."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest
from penstock_pooling.testing import PostgresServer

from examples.demo._processes import run
from examples.demo._programs import ROOT, copy_of_agents
from tests.examples.migrated import migrated_agents

AGENTS = ROOT / "examples" / "agents"


def test_its_own_tests_pass(tmp_path):
    """People in a hurry have tests, too, and they need no network."""
    project = copy_of_agents(tmp_path / "agents")
    done = asyncio.run(run(sys.executable, "-m", "pytest", "-q", folder=project, environment={}))

    assert done.status == 0, done.output


@pytest.mark.parametrize("mode", [None, "off", "observe", "enforce"])
def test_it_finds_in_a_real_database_what_it_has_kept_there(tmp_path, mode):
    """With pgvector and without, and what is said when it is gone; before the migration, and after it in every mode."""
    project = migrated_agents(tmp_path / "agents") if mode else copy_of_agents(tmp_path / "agents")
    with PostgresServer() as server:
        environment = {"RAG_TEST_DSN": server.dsn} | ({"PENSTOCK_MODE": mode} if mode else {})
        done = asyncio.run(
            run(sys.executable, "-m", "pytest", "-q", "tests/test_store.py", folder=project, environment=environment)
        )

    assert done.status == 0, done.output
    assert re.search(r"^3 passed", done.output, re.MULTILINE), done.output


@pytest.mark.parametrize("issue", range(1, 9))
def test_the_readme_names_files_for_each_critical_issue(issue):
    """Each of the eight issues has a row, and the files it names exist."""
    readme = (AGENTS / "README.md").read_text("utf-8")
    (row,) = re.findall(rf"^\| {issue} .*$", readme, re.MULTILINE)
    files = re.findall(r"`([\w/]+\.py)`", row)

    assert files
    for file in files:
        assert (AGENTS / file).exists() or (AGENTS / "agents" / file).exists(), file
