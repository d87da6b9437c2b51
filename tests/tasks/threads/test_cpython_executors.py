"""CPython's own tests of thread pools, run on the drop-in in every mode."""

from __future__ import annotations

import concurrent.futures
import importlib
import unittest
from collections.abc import Iterator
from typing import Any

import penstock_tasks
import pytest

from tests.limits.suites import run

try:
    from test import test_concurrent_futures  # type: ignore[import-not-found]
except ImportError:
    pytest.skip(
        "CONFORMANCE NOT CHECKED: this interpreter comes without `test.test_concurrent_futures`",
        allow_module_level=True,
    )


def modules() -> Iterator[Any]:
    """Yield the modules of the suite: one up to 3.11, several in a package from 3.12 on."""
    yield test_concurrent_futures
    for name in ("test_thread_pool", "test_shutdown", "test_wait", "test_as_completed", "test_init"):
        if hasattr(test_concurrent_futures, "__path__"):
            yield importlib.import_module(f"{test_concurrent_futures.__name__}.{name}")


def suites(executor_type: type[concurrent.futures.Executor]) -> list[type[unittest.TestCase]]:
    """Return the suites of thread pools, for another class of them."""
    found = {
        each
        for module in modules()
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, unittest.TestCase)
        if getattr(each, "executor_type", None) is concurrent.futures.ThreadPoolExecutor
    }
    return [type(each.__name__, (each,), {"executor_type": executor_type}) for each in found]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_executors_pass_the_suite_of_concurrent_futures(any_mode: str) -> None:
    """Submitting, mapping, waiting, shutting down, initializers, collected executors, fork."""
    report, outcome = run(*suites(penstock_tasks.ThreadPoolExecutor))

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 40


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_suite_notices_a_wrong_executor(enforce: None) -> None:
    """One that forgets to pass on what a function returns."""

    class Wrong(penstock_tasks.ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return super().submit(lambda: fn(*args, **kwargs) and None)

    _, outcome = run(*suites(Wrong))

    assert len(outcome.failures) + len(outcome.errors) >= 5
