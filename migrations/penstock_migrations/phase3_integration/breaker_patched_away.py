"""Finds circuit breakers that are patched away: in performance and load tests, and in production code.

## What it does

Reports what replaces a breaker, its class or one of its methods by something that lets everything through:
`CircuitBreaker.call = lambda ...`, `client.breaker = NullBreaker()`, a function that returns what it is given,
`monkeypatch.setattr(client, "breaker", ...)`, `mock.patch("app.http.breaker")`, `setattr(breaker, "call", ...)`. In a
performance or load test the message says so. A stand-in that `except ImportError` defines for a library of breakers is
reported unless a log or a warning tells of it.

It leaves alone other tests, what an object sets on itself, and tests of the breaker.

## Why is this bad

The test measures a program that nobody runs: without the breaker's check on each call, and with the retries, queues and
timeouts that the breaker would have cut off. Its numbers promise a throughput that production refuses. In production
code a patch is a bypass that no setting shows.

## Example

```python
def test_load_checkout(monkeypatch):
    monkeypatch.setattr(checkout, "breaker", NullBreaker())
    hammer(checkout)
```

## Use instead

```python
def test_load_checkout():
    hammer(checkout)
```

If the breaker opens in the test, that is a result: report how often, beside the throughput.

## Fix safety

Nothing is rewritten: the test's numbers, and perhaps its limits, change with the breaker in place.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._breakers.patches import Patches
from penstock_migrations._breakers.words import Mentioned
from penstock_migrations._code.module import Module
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the places where a breaker is patched away."""
    if not module.analysis(Mentioned).anywhere:
        return
    found = module.analysis(Patches)
    for node, what in found.found():
        yield Defect(
            node=node,
            severity=Severity.MEDIUM,
            message=(
                f"the circuit breaker {what} is patched away{found.places.said(node)};"
                " leave it in place, and report how often it opens"
            ),
            fix_reason="with the breaker in place the numbers change; that is for a person to judge",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN704",
    triggers=(b"reaker",),
    detect=detect,
    bad=(
        Example(
            "a method of the class",
            """
import pybreaker

pybreaker.CircuitBreaker.call = lambda self, func, *args, **kwargs: func(*args, **kwargs)
""",
        ),
        Example(
            "monkeypatch in a load test",
            """
def test_load_checkout(monkeypatch):
    monkeypatch.setattr(checkout, "breaker", NullBreaker())
    hammer(checkout)
""",
        ),
        Example(
            "mock in a benchmark",
            """
from unittest import mock

def bench_search(queries):
    with mock.patch("shop.search.circuit_breaker.call", side_effect=through):
        for query in queries:
            search(query)
""",
        ),
        Example(
            "a stand-in for a missing library",
            """
try:
    from circuitbreaker import circuit
except ImportError:
    def circuit(function):
        return function
""",
        ),
        Example(
            "a stand-in on somebody else's object",
            """
def make_fast(client):
    client.circuit_breaker = NoOpBreaker()
    return client
""",
        ),
    ),
    good=(
        Example(
            "a stand-in of which the log tells",
            """
try:
    from circuitbreaker import circuit
except ImportError:
    logger.warning("circuitbreaker is missing: no breaker guards the provider")

    def circuit(function):
        return function
""",
        ),
        Example(
            "another test",
            """
import pytest

def test_sends(monkeypatch):
    monkeypatch.setattr(mailer, "breaker", NullBreaker())
    assert mailer.send("hello")
""",
        ),
        Example(
            "a real breaker is handed over",
            """
def configure(client, threshold):
    client.circuit_breaker = CircuitBreaker(fail_max=threshold)
""",
        ),
        Example(
            "the clock of a test of the breaker",
            """
from unittest.mock import patch

def test_breaker_performance():
    with patch("shop.circuit_breaker.time.monotonic"):
        assert breaker.state == "open"
""",
        ),
    ),
)
