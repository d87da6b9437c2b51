"""asyncpg's own tests of its connections, with connections that the drop-in lends."""

from __future__ import annotations

import pytest

from tests.pooling.asyncpg_suite import cache, fetch, run, workspace

PROGRAM = """
import os, sys, types, unittest
import asyncpg._testbase, asyncpg.connection
import penstock_pooling

sys.argv.pop(1)
name, *left_out = sys.argv.pop(1).split()
module = __import__("tests." + name, fromlist=["*"])
for each in left_out:
    kind, _, method = each.partition(".")
    delattr(getattr(module, kind), method)
os.environ["PENSTOCK_MODE"] = "enforce"
asyncpg._testbase.pg_connection = types.SimpleNamespace(
    connect=penstock_pooling.connect, Connection=asyncpg.connection.Connection
)
unittest.main(module)
"""

# With the tests that look at what is not to be the same: the counter of the session's protocol, and how soon the
# transport below is cut off when a close is cancelled, or a cancellation gets no answer.
MODULES = {
    "test_cache_invalidation": (),
    "test_cancellation": (),
    "test_codecs": (),
    "test_copy": (),
    "test_cursor": (),
    "test_execute": ("TestExecuteScript.test_execute_script_1",),
    "test_listeners": (),
    "test_logging": (),
    "test_prepare": (),
    "test_timeout": (
        "TestCloseTimeoutPendingCancel.test_cancel_attempt_expires_during_close",
        "TestCloseTimeoutPendingCancel.test_cancel_attempt_has_one_deadline",
        "TestCloseTimeoutPendingCancel.test_cancel_close_aborts_transport",
        "TestCloseTimeoutPendingCancel.test_close_has_one_timeout_budget",
    ),
    "test_transaction": (),
}


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_asyncpgs_own_tests_pass_with_lent_connections(module: str) -> None:
    """Whatever they do to a connection."""
    with workspace() as folder:
        outcome = run(fetch(cache()), "drop-in", folder, " ".join((module, *MODULES[module])), program=PROGRAM)

    assert outcome.passed, outcome.output
    assert outcome.ran > 2
