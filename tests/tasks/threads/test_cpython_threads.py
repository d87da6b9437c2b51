"""CPython's own tests of threads, timers and thread pools, run on the drop-ins in every mode."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import types
import unittest
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import penstock_tasks
import pytest

from tests.limits.suites import run

try:
    importlib.import_module("test.test_threading")
except ImportError:
    pytest.skip(
        "CONFORMANCE NOT CHECKED: this interpreter comes without its own `test` package", allow_module_level=True
    )

OF_THE_MODULE = {"test__all__"}  # it looks at the names of the module threading


@pytest.fixture
def suites() -> Iterator[types.ModuleType]:
    """A fresh copy of the module of tests, whose classes derive from the drop-ins."""
    with (
        mock.patch.object(threading, "Thread", penstock_tasks.Thread),
        mock.patch.object(threading, "Timer", penstock_tasks.Timer),
        mock.patch.dict(sys.modules),
    ):
        sys.modules.pop("test.test_threading", None)
        yield importlib.import_module("test.test_threading")
    threading.excepthook = threading.__excepthook__


def cases(module: types.ModuleType) -> list[type[unittest.TestCase]]:
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, unittest.TestCase)]
    return [each for each in found if each.__module__ == module.__name__ and "Subinterp" not in each.__name__]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_threads_and_timers_pass_the_suite_of_threading(suites: types.ModuleType, any_mode: str) -> None:
    """Threads, timers, locals, excepthook, atexit, fork, daemons, settrace."""
    report, outcome = run(*cases(suites), without=OF_THE_MODULE)

    assert outcome.wasSuccessful(), report
    assert outcome.testsRun >= 100


WRONG = """
import os
import threading
from unittest import mock
import penstock_tasks
from tests.limits.suites import run
threading.Thread, threading.Timer = penstock_tasks.Thread, penstock_tasks.Timer
from test import test_threading
with mock.patch.object(penstock_tasks.Thread, "daemon", new=False):
    _, outcome = run(test_threading.ThreadTests)
os._exit(len(outcome.failures) + len(outcome.errors))
"""


@pytest.mark.slow
def test_the_suite_notices_a_wrong_thread() -> None:
    """One whose daemons are none: the drop-in is what the suite tests. In a process that does not wait for them."""
    environment = os.environ | {"PENSTOCK_MODE": "enforce", "PYTHONPATH": str(Path(__file__).parents[3])}

    ended = subprocess.run([sys.executable, "-c", WRONG], env=environment, stderr=subprocess.DEVNULL, timeout=300)

    assert 2 <= ended.returncode < 100
