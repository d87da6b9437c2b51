"""Finds retries that nothing ends but success.

## What it does

Reports `tenacity.retry` and `Retrying` without `stop`, or with `stop_never`, also as a bare `@retry`;
`backoff.on_exception` without `max_tries` and `max_time`; the `retrying` library without `stop_max_attempt_number` and
`stop_max_delay`; the
`retry` library without `tries`; and hand-written `while True` loops that pause after a failure and have no way out but
success: no failure is raised, no counter or clock is tested. Where such a loop has jitter it is advice.

## Why is this bad

What will never succeed (a wrong key, a removed model, a bad request) is asked for ever: the caller hangs, its slot and
its connection with it, and the load on a struggling server never goes down.

## Example

```python
@retry(wait=wait_random_exponential(max=60))
def fetch(url):
    ...
```

## Use instead

```python
@retry(wait=wait_random_exponential(max=60), stop=stop_after_delay(300))
def fetch(url):
    ...
```

In a loop by hand: `for attempt in range(5)`, and the last failure is raised.

## Fix safety

Not rewritten: how long is worth it, and what to do then, only the caller knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._retries.libraries import unlimited_retries
from penstock_migrations._retries.loops import Loops
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the retries without an end."""
    for node, name, missing in unlimited_retries(module):
        yield _defect(node, Severity.MEDIUM, f"{name} never gives up; give it {missing}")
    for retry in module.analysis(Loops).without_end:
        severity = Severity.LOW if retry.delay.random else Severity.MEDIUM
        jitter = "" if retry.delay.random else ", and sleeps without jitter"
        yield _defect(
            retry.sleep, severity, f"retry never gives up{jitter}; count the attempts, and raise the last failure"
        )


def _defect(node: ast.expr, severity: Severity, message: str) -> Defect:
    return Defect(
        node=node,
        severity=severity,
        message=message,
        fix_reason="how many attempts are worth it, and what to do then, only the caller knows",
    )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN804",
    triggers=(b"sleep", b"retry", b"Retrying", b"backoff"),
    detect=detect,
    bad=(
        Example(
            "tenacity without stop",
            """
from tenacity import retry, wait_random_exponential

@retry(wait=wait_random_exponential(max=60))
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "a bare decorator",
            """
import tenacity

@tenacity.retry
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "backoff without a limit",
            """
import backoff

@backoff.on_exception(backoff.expo, ConnectionError)
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "a loop without a way out",
            """
import time

def fetch(client, url):
    while True:
        try:
            return client.get(url)
        except ConnectionError:
            time.sleep(5)
""",
        ),
    ),
    good=(
        Example(
            "tenacity with stop",
            """
from tenacity import retry, stop_after_attempt, wait_random_exponential

@retry(wait=wait_random_exponential(max=60), stop=stop_after_attempt(5))
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "what is not in sight",
            """
from tenacity import AsyncRetrying

def policy(**options):
    return AsyncRetrying(**options)
""",
        ),
    ),
)
