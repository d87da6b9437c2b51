"""CPython's own tests of TaskGroup, run on scopes of a manager, and those of wait_for on its timeout_wrapper."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from penstock_tasks import TaskManager, TaskScope

from tests.limits.suites import run

try:
    from test.test_asyncio import test_taskgroups, test_waitfor  # type: ignore[import-not-found]
except ImportError:
    pytest.skip(
        "CONFORMANCE NOT CHECKED: this interpreter comes without its own `test` package", allow_module_level=True
    )

GROUP_SUITES = [suite for name, suite in vars(test_taskgroups).items() if name.startswith("Test") and "Task" in name]
WAIT_FOR_SUITES = [suite for name, suite in vars(test_waitfor).items() if name.startswith(("Asyncio", "WaitFor"))]

# A refused coroutine is closed, as asyncio does from 3.13 on; before, these tests use it again.
USES_IT_AGAIN = {
    *("test_taskgroup_not_entered", "test_taskgroup_finished"),
    *("test_taskgroup_no_create_task_after_failure", "test_taskgroup_without_parent_task"),
}
if sys.version_info >= (3, 13):
    USES_IT_AGAIN = set()


def scope() -> TaskScope:
    return TaskManager(signals=()).scope("suite", cancel_timeout=60)


@pytest.fixture
def asyncio_of_the_suites() -> Iterator[types.ModuleType]:
    """Make the suites see modules like asyncio's, in which the test puts ours."""
    ours, groups = types.ModuleType("asyncio"), types.ModuleType("taskgroups")
    vars(ours).update(vars(asyncio))
    vars(groups).update(vars(asyncio.taskgroups))
    ours.taskgroups = groups
    with (
        mock.patch.object(test_waitfor, "asyncio", ours),
        mock.patch.object(test_taskgroups, "asyncio", ours),
        mock.patch.object(test_taskgroups, "taskgroups", groups, create=True),
    ):
        yield ours


@pytest.fixture(params=[*GROUP_SUITES], ids=lambda suite: suite.__name__)
def suite(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_scopes_pass_the_suite_of_task_groups(asyncio_of_the_suites: types.ModuleType, suite: Any) -> None:
    """All of it from 3.13 on."""
    asyncio_of_the_suites.TaskGroup = asyncio_of_the_suites.taskgroups.TaskGroup = scope

    report, outcome = run(suite, without=USES_IT_AGAIN)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 10


def test_the_suite_notices_a_wrong_scope(asyncio_of_the_suites: types.ModuleType) -> None:
    """One that forgets the errors."""

    class Wrong(TaskScope):
        def _raise(self, parent: Any) -> None:
            pass

    asyncio_of_the_suites.TaskGroup = asyncio_of_the_suites.taskgroups.TaskGroup = lambda: Wrong(
        TaskManager(signals=()), "wrong", 60
    )

    _, outcome = run(
        GROUP_SUITES[0], without={name for name in dir(GROUP_SUITES[0]) if not name.startswith("test_taskgroup_0")}
    )

    assert len(outcome.failures) + len(outcome.errors) >= 2


def test_timeout_wrapper_passes_the_suite_of_wait_for(asyncio_of_the_suites: types.ModuleType) -> None:
    """All of it; nothing is excluded."""

    async def wait_for(awaitable: Any, timeout: float | None) -> Any:
        return await TaskManager().timeout_wrapper(awaitable, timeout)

    asyncio_of_the_suites.wait_for = wait_for

    report, outcome = run(*WAIT_FOR_SUITES)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 15
