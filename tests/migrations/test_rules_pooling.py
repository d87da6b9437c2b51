"""What the codemod makes of connections and engines per operation: replaced, left to review, or left alone, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.rewrite import rewrite
from penstock_migrations.rule import Finding, Fix

from tests.migrations.pooling_shapes import (
    ENGINE_HEAD,
    ENGINES_NONE,
    ENGINES_REVIEW,
    ENGINES_SAFE,
    HEAD,
    NONE,
    REVIEW,
    SAFE,
)


def findings(folder: Path, source: str) -> list[Finding]:
    (folder / "shape.py").write_text(source, encoding="utf-8")
    return list(audit([folder], Settings(select=("PEN201", "PEN202"))).findings)


@pytest.mark.parametrize("source", [HEAD + one for one in SAFE.values()], ids=list(SAFE))
def test_replaces_what_is_called_and_nothing_else(source, tmp_path):
    """One call becomes the drop-in's, its module is imported, and every other line stays."""
    found = findings(tmp_path, source)
    after = rewrite(source.encode(), found).source.decode().splitlines()
    before = source.splitlines()
    changed = [line for line in after if line not in before]

    assert [one.fix for one in found] == [Fix.SAFE] * len(found)
    assert found
    assert len(changed) == 1 + len(found)
    assert changed[0].startswith("import penstock_pooling")
    assert all("penstock_pooling." in line for line in changed[1:])
    assert len(after) == len(before) + 1


@pytest.mark.parametrize("source", [ENGINE_HEAD + one for one in ENGINES_SAFE.values()], ids=list(ENGINES_SAFE))
def test_replaces_an_engine_of_which_everything_is_given_back(source, tmp_path):
    """The managed engine takes its place."""
    (found,) = findings(tmp_path, source)
    after = rewrite(source.encode(), [found]).source.decode()

    assert (found.fix, found.fix_reason) == (Fix.SAFE, None)
    assert "import penstock_pooling.sqlalchemy\n" in after
    assert after.count("penstock_pooling.sqlalchemy.create_") == 1


@pytest.mark.parametrize(
    ("reason", "source"),
    [
        *((reason, HEAD + source) for reason, source in REVIEW.values()),
        *((reason, ENGINE_HEAD + source) for reason, source in ENGINES_REVIEW.values()),
    ],
    ids=[*REVIEW, *(f"engine: {name}" for name in ENGINES_REVIEW)],
)
def test_leaves_to_review_what_a_pool_may_change(reason, source, tmp_path):
    """The reason says what to look at, and the rewrite is offered."""
    found = findings(tmp_path, source)

    assert Fix.NONE not in {one.fix for one in found}
    assert any(one.fix is Fix.REVIEW and reason in (one.fix_reason or "") for one in found), found
    assert all(one.rewrites for one in found)


@pytest.mark.parametrize(
    ("reason", "source"),
    [
        *((reason, HEAD + source) for reason, source in NONE.values()),
        *((reason, ENGINE_HEAD + source) for reason, source in ENGINES_NONE.values()),
    ],
    ids=[*NONE, *(f"engine: {name}" for name in ENGINES_NONE)],
)
def test_leaves_alone_what_no_pool_serves(reason, source, tmp_path):
    """It is not rewritten in review either, and the reason says why."""
    found = findings(tmp_path, source)

    assert {one.fix for one in found} == {Fix.NONE}
    assert any(reason in (one.fix_reason or "") for one in found), [one.fix_reason for one in found]
    assert not any(one.rewrites for one in found)


def test_sqlite_is_reported_only(tmp_path):
    """There is nothing to pool in a file."""
    (tmp_path / "shape.py").write_text(
        "import sqlite3\n\ndef load(p):\n    with sqlite3.connect(p) as c:\n        return c.execute('SELECT 1')\n"
    )
    (found,) = audit([tmp_path], Settings(select=("PEN204",))).findings

    assert (found.fix, found.rewrites) == (Fix.NONE, ())


def test_a_helper_that_other_files_call_is_left_to_review(tmp_path):
    """What they do with the connection is not looked into, so a person has to."""
    (tmp_path / "other.py").write_text("from shape import connection\n\ndef report():\n    return connection()\n")
    helper = "def connection():\n    return psycopg.connect(DSN)\n\n"
    user = 'def load():\n    with connection() as c:\n        return c.execute("SELECT 1").fetchone()\n'
    (found,) = findings(tmp_path, HEAD + helper + user)

    assert found.fix is Fix.REVIEW
    assert found.fix_reason == "other files use it, too: does report (other.py) close it, and set nothing in it?"


HELPER = """async def connection():
    return await asyncpg.connect(DSN)

async def load():
    c = await connection()
    try:
        return await c.fetchval("SELECT 1")
    finally:
        await c.close()
"""


@pytest.mark.parametrize("audited", [".", "shape.py"])
def test_a_helper_that_files_outside_of_the_paths_use_is_left_to_review(audited, tmp_path):
    """What is found does not depend on which of a project's files are given."""
    (tmp_path / "shape.py").write_text(HEAD + HELPER)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/other.py").write_text("from shape import connection\n\nKEPT = connection()\n")
    (found,) = audit([tmp_path / audited], Settings(select=("PEN201",))).findings

    assert found.fix is Fix.REVIEW
    assert (found.fix_reason or "").startswith("other files use it, too: does ")
    assert "other.py" in (found.fix_reason or "")


@pytest.mark.parametrize("audited", [".", "shape.py"])
def test_what_tests_do_with_a_helper_is_left_to_running_them(audited, tmp_path):
    """They are run before and after, and their loops and connections are not the program's."""
    (tmp_path / "shape.py").write_text(HEAD + HELPER)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_shape.py").write_text(
        "import asyncio\nfrom shape import connection, load\n\ndef test_it():\n    asyncio.run(load())\n"
        "\nasync def test_that():\n    assert await connection()\n"
    )
    (found,) = audit([tmp_path / audited], Settings(select=("PEN201",))).findings

    assert (found.fix, found.fix_reason) == (Fix.SAFE, None)


def test_a_file_that_comes_beside_it_is_seen_by_the_next_audit(tmp_path, monkeypatch):
    """The cache does not answer for files that it knows nothing of."""
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "shape.py").write_text(HEAD + HELPER)
    (first,) = audit([tmp_path / "shape.py"], Settings(select=("PEN201",))).findings
    (tmp_path / "other.py").write_text("from shape import connection\n")
    (second,) = audit([tmp_path / "shape.py"], Settings(select=("PEN201",))).findings

    assert (first.fix, second.fix) == (Fix.SAFE, Fix.REVIEW)


@pytest.mark.parametrize("audited", [".", "shape.py"])
def test_a_coroutine_that_another_file_runs_in_a_loop_of_its_own_is_left_to_review(audited, tmp_path):
    """A pool serves one event loop, and closes with it."""
    (tmp_path / "shape.py").write_text(HEAD + SAFE["closed in a finally"].replace("run()", "load()"))
    (tmp_path / "worker.py").write_text(
        "import asyncio\nfrom shape import load\n\ndef job():\n    loop = asyncio.new_event_loop()\n"
        "    try:\n        return loop.run_until_complete(load())\n    finally:\n        loop.close()\n"
    )
    (found,) = audit([tmp_path / audited], Settings(select=("PEN201",))).findings

    assert found.fix is Fix.REVIEW
    assert "an event loop of its own may run it each time" in (found.fix_reason or "")


def test_a_coroutine_that_other_coroutines_await_is_rewritten(tmp_path):
    """They share the loop of the program, which `main` runs."""
    (tmp_path / "shape.py").write_text(HEAD + SAFE["closed in a finally"].replace("run()", "load()"))
    (tmp_path / "web.py").write_text("from shape import load\n\nasync def view():\n    return await load()\n")
    (tmp_path / "app.py").write_text(
        "import asyncio\nfrom web import view\n\ndef main():\n    return asyncio.run(view())\n"
    )
    (found,) = audit([tmp_path], Settings(select=("PEN201",))).findings

    assert (found.fix, found.fix_reason) == (Fix.SAFE, None)


@pytest.mark.parametrize("name", ["tests/helpers.py", "app/tests/data.py", "conftest.py", "test_load.py"])
def test_what_belongs_to_tests_is_left(name, tmp_path):
    """Their databases are dropped when they are done, which a pool's connections would forbid."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(HEAD + SAFE["with of psycopg, a cursor beside it"])
    (found,) = audit([tmp_path], Settings(select=("PEN201",))).findings

    assert (found.fix, found.rewrites) == (Fix.NONE, ())
    assert "belongs to tests" in (found.fix_reason or "")


def test_a_second_audit_takes_the_decision_from_the_cache(tmp_path, monkeypatch):
    """The rewrite comes back with the module that it needs."""
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "cache"))
    source = HEAD + SAFE["async with of psycopg"]
    (first,) = findings(tmp_path, source)
    (second,) = findings(tmp_path, source)

    assert second == first
    assert second.rewrites[0].imported == "penstock_pooling.psycopg"
