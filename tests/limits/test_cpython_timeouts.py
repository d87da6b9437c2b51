"""CPython's own tests of asyncio.wait_for and asyncio.timeout, run on our wait_for and on what ends our late calls.

`timeout` itself is not offered, as asyncio's is right. But what `retry` does to a call that is late has to be the same,
so the suite is run on it, in the shape of asyncio's.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from unittest import mock

import penstock_limits
import pytest
from penstock_limits._timeouts import Watch, no_task

from tests.limits.suites import run

try:
    from test.test_asyncio import test_timeouts, test_waitfor  # type: ignore[import-not-found]
except ImportError:
    pytest.skip(
        "CONFORMANCE NOT CHECKED: this interpreter comes without its own `test` package", allow_module_level=True
    )

WAIT_FOR_SUITES = [suite for name, suite in vars(test_waitfor).items() if name.startswith(("Asyncio", "WaitFor"))]

# What ends our late calls is no object of users, and has another shape.
OF_ANOTHER_SHAPE = {
    # it has no text of its own
    *("test_repr_active", "test_repr_expired", "test_repr_finished", "test_repr_disabled"),
    # it cannot be rescheduled
    *("test_reschedule", "test_timeout_not_entered", "test_timeout_without_task", "test_timeout_expiring"),
    *("test_timeout_expired", "test_timeout_finished"),
    # from 3.13 on asyncio.timeout writes a TimeoutError into the context of other errors
    *("test_foreign_exception_on_timeout", "test_foreign_exception_on_timeout_2", "test_timeout_taskgroup"),
}
if sys.version_info < (3, 13):
    OF_ANOTHER_SHAPE -= {"test_foreign_exception_on_timeout"}


class Timeout:
    """A watch for one call, in the shape of asyncio.Timeout."""

    def __init__(self, when: float | None) -> None:
        self._when = when
        self._watch: Watch | None = None
        self._expired = False

    async def __aenter__(self) -> Self:
        if self._watch is not None:
            raise RuntimeError("Timeout has already been entered")
        loop = asyncio.get_running_loop()
        left = float("inf") if self._when is None else self._when - loop.time()
        self._watch = Watch(loop, left, self._expires)
        self._watch.start(0, asyncio.current_task() or no_task())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._watch is not None
        late = self._watch.leave(0, error)
        self._watch.close()
        if late:
            raise TimeoutError from error

    def _expires(self) -> bool:
        self._expired = True
        return True

    def when(self) -> float | None:
        return self._when

    def expired(self) -> bool:
        return self._expired


def timeout(delay: float | None) -> Timeout:
    return Timeout(None if delay is None else asyncio.get_running_loop().time() + delay)


@pytest.fixture
def asyncio_of_the_suites() -> Iterator[types.ModuleType]:
    """Make the suites see a module like asyncio, in which the test puts ours."""
    ours = types.ModuleType("asyncio")
    vars(ours).update(vars(asyncio))
    with mock.patch.object(test_waitfor, "asyncio", ours), mock.patch.object(test_timeouts, "asyncio", ours):
        yield ours


def test_wait_for_passes_the_suite_of_asyncio_wait_for(asyncio_of_the_suites: types.ModuleType) -> None:
    """All of it; nothing is excluded."""
    asyncio_of_the_suites.wait_for = penstock_limits.wait_for

    report, outcome = run(*WAIT_FOR_SUITES)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 15


def test_the_suite_notices_a_wrong_wait_for(asyncio_of_the_suites: types.ModuleType) -> None:
    """One that neither cancels nor waits for what it has waited for long enough."""

    async def wait_for(awaitable: Any, seconds: float | None) -> Any:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(awaitable)

    asyncio_of_the_suites.wait_for = wait_for

    _, outcome = run(*WAIT_FOR_SUITES)

    assert len(outcome.failures) + len(outcome.errors) >= 5


def test_late_calls_are_ended_as_the_suite_of_asyncio_timeout_says(asyncio_of_the_suites: types.ModuleType) -> None:
    """All but what is of another shape."""
    asyncio_of_the_suites.timeout = timeout
    asyncio_of_the_suites.timeout_at = Timeout

    report, outcome = run(test_timeouts.TimeoutTests, without=OF_ANOTHER_SHAPE)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 10


def test_the_suite_notices_a_wrong_end(asyncio_of_the_suites: types.ModuleType) -> None:
    """One that takes a cancellation from outside for its own."""

    class WrongTimeout(Timeout):
        async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
            await super().__aexit__(kind, error, traceback)
            if isinstance(error, asyncio.CancelledError) and not self._expired:
                raise TimeoutError from error

    asyncio_of_the_suites.timeout_at = WrongTimeout
    asyncio_of_the_suites.timeout = lambda delay: WrongTimeout(timeout(delay).when())

    _, outcome = run(test_timeouts.TimeoutTests, without=OF_ANOTHER_SHAPE)

    assert outcome.failures or outcome.errors
