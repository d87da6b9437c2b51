"""CPython's own tests of asyncio.Semaphore, run on Limiter."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterator
from unittest import mock

import pytest
from penstock_limits import Limiter

from tests.limits.suites import run

try:
    from test.test_asyncio import test_locks  # type: ignore[import-not-found]
except ImportError:
    pytest.skip(
        "CONFORMANCE NOT CHECKED: this interpreter comes without its own `test` package", allow_module_level=True
    )


OF_ITS_OWN = {
    "test_repr",  # asserts the text `[unlocked, value:1]`; ours says more, in words of its own
    "test_acquire_fifo_order_4",  # asserts how many are in the private `_waiters` while a permit is on its way
}


class Semaphore(Limiter):
    """A limiter with the signature of asyncio.Semaphore, and the private attribute that its suite looks at."""

    __slots__ = ()

    def __init__(self, value: int = 1) -> None:
        super().__init__(max_running=value)

    @property
    def _value(self) -> int:
        now = self.statistics()
        return now.max_running + now.surplus_releases - now.running


class ForgetsItsOrder(Semaphore):
    """Lets a newcomer run before those that were let in before it."""

    __slots__ = ()

    async def _resume_last(self, weight: int) -> None:
        pass


@pytest.fixture
def asyncio_with_our_semaphore() -> Iterator[types.ModuleType]:
    """Make the suite see a module like asyncio, in which the test puts a semaphore."""
    ours = types.ModuleType("asyncio")
    vars(ours).update(vars(asyncio))
    with mock.patch.object(test_locks, "asyncio", ours):
        yield ours


def test_limiter_passes_the_suite_of_asyncio_semaphore(asyncio_with_our_semaphore: types.ModuleType) -> None:
    """All but what asserts its own text and private state."""
    asyncio_with_our_semaphore.Semaphore = Semaphore

    report, outcome = run(test_locks.SemaphoreTests, without=OF_ITS_OWN)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 13


def test_the_suite_notices_a_wrong_limiter(asyncio_with_our_semaphore: types.ModuleType) -> None:
    """One that lets a newcomer run before those that were let in before it."""
    asyncio_with_our_semaphore.Semaphore = ForgetsItsOrder

    _, outcome = run(test_locks.SemaphoreTests, without=OF_ITS_OWN)

    assert outcome.failures
