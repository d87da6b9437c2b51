"""asyncpg's own tests of its pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pooling.asyncpg_suite import POOLS, cache, fetch, run, workspace


@pytest.fixture(scope="module")
def suite() -> Path:
    return fetch(cache())


@pytest.mark.slow
@pytest.mark.parametrize("pool", POOLS)
def test_asyncpgs_own_tests_pass_on_either_pool(pool: str, suite: Path) -> None:
    """All 66 of them, none skipped."""
    with workspace() as folder:
        outcome = run(suite, pool, folder)

    assert outcome.passed, outcome.output
    assert (outcome.ran, outcome.skipped) == (66, 0)
