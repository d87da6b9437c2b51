"""Running suites of CPython's own tests, inside ours."""

from __future__ import annotations

import gc
import io
import unittest
import warnings
from collections.abc import Collection, Iterator


def run(*suites: type[unittest.TestCase], without: Collection[str] = ()) -> tuple[str, unittest.TestResult]:
    """Run every test of some suites, but for those with these names; return the report and the outcome."""
    stream = io.StringIO()
    tests = unittest.TestSuite(test for test in _tests_of(suites) if test.id().rpartition(".")[2] not in without)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = unittest.TextTestRunner(stream=stream).run(tests)
        del tests
        gc.collect()  # what a wrong drop-in left un-awaited warns here
    return stream.getvalue(), outcome


def _tests_of(suites: Collection[type[unittest.TestCase]]) -> Iterator[unittest.TestCase]:
    for suite in suites:
        for test in unittest.TestLoader().loadTestsFromTestCase(suite):
            assert isinstance(test, unittest.TestCase)
            yield test
