"""CPython's own tests of asyncio.gather, run on ours."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import penstock_limits
import pytest
from penstock_limits import Limiter

from tests.limits.suites import run

try:
    from test.test_asyncio import test_tasks  # type: ignore[import-not-found]
except ImportError:
    pytest.skip(
        "CONFORMANCE NOT CHECKED: this interpreter comes without its own `test` package", allow_module_level=True
    )

SUITES = (test_tasks.FutureGatherTests, test_tasks.CoroutineGatherTests)
LIMITS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "a number that is not reached": lambda: 1000,
    "a number that is reached": lambda: 1,
    "a name, which is off": lambda: "api_call",
    "a limiter in mode off": lambda: Limiter(max_running=1, mode="off"),
    "a limiter in mode observe": lambda: Limiter(max_running=1, mode="observe"),
    "a limiter in mode enforce": lambda: Limiter(max_running=1000),
}


@pytest.fixture
def asyncio_with_our_gather() -> Iterator[types.ModuleType]:
    """Make the suite see a module like asyncio; ours must still find the real asyncio.gather."""
    ours = types.ModuleType("asyncio")
    vars(ours).update(vars(asyncio))
    with mock.patch.object(test_tasks, "asyncio", ours):
        yield ours


@pytest.mark.parametrize("limit", LIMITS)
def test_gather_passes_the_suite_of_asyncio_gather(limit: str, asyncio_with_our_gather: types.ModuleType) -> None:
    """With every kind of limit and in every mode, all 24 tests pass with ours in the place of asyncio's."""
    asyncio_with_our_gather.gather = functools.partial(penstock_limits.gather, limit=LIMITS[limit]())

    report, outcome = run(*SUITES)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun == 24


def test_the_suite_notices_a_wrong_gather(asyncio_with_our_gather: types.ModuleType) -> None:
    """The usual bounded gather, a coroutine function around a semaphore, fails most of them."""

    async def gather(*aws: Any, return_exceptions: bool = False) -> list[Any]:
        semaphore = asyncio.Semaphore(1000)

        async def limited(aw: Any) -> Any:
            async with semaphore:
                return await aw

        return await asyncio.gather(*map(limited, aws), return_exceptions=return_exceptions)

    asyncio_with_our_gather.gather = gather

    _, outcome = run(*SUITES)

    assert len(outcome.failures) + len(outcome.errors) >= 15
