"""Finds circuit breakers that cannot open: thresholds out of reach, no pause, or closed by hand as a routine.

## What it does

Reports a breaker made with a threshold of 500 failures and more (`fail_max=sys.maxsize`), with a recovery time of zero,
or with every exception excluded; pybreaker around a coroutine function, which it takes for a success before anything
runs; a breaker whose state, counter or threshold is set from outside before it is used; and one that is closed or reset
before each call, in a loop with the calls, or because it was open (`except CircuitBreakerError: breaker.close()`). In a
performance or load test every reset is reported, and named as such.

It leaves alone other tests, an operator's reset, a reset of all breakers, a half-open breaker that is closed after a
success, and code that keeps a breaker's states itself.

## Why is this bad

A breaker that never opens is a counter. It is in the design, on the dashboard and in the review, and on the day the
provider is down every call waits for its timeout. Closing it by hand after it opened makes the outage longer: the
provider gets the full load back at once, without a trial call.

## Example

```python
breaker = pybreaker.CircuitBreaker(fail_max=sys.maxsize)
```

## Use instead

```python
breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)
```

An outage reaches the threshold within seconds, and after the pause one trial call says whether it is over.

## Fix safety

Nothing is rewritten: which threshold is right only the traffic tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._breakers.forcing import Forcing
from penstock_migrations._breakers.words import Mentioned
from penstock_migrations._code.module import Module
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the breakers that are kept closed."""
    if not module.analysis(Mentioned).anywhere:
        return
    found = module.analysis(Forcing)
    seen: set[int] = set()
    for node, said in found.found():
        if node.lineno in seen:
            continue
        seen.add(node.lineno)
        yield Defect(
            node=node,
            severity=Severity.MEDIUM,
            message=(
                f"{said}{found.places.said(node)};"
                " give it a threshold that an outage reaches, and a pause, and let it close itself"
            ),
            fix_reason="which threshold and pause are right only the traffic tells",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN703",
    triggers=(b"reaker",),
    detect=detect,
    bad=(
        Example(
            "a threshold out of reach",
            """
import sys
import pybreaker

breaker = pybreaker.CircuitBreaker(fail_max=sys.maxsize, reset_timeout=30)
""",
        ),
        Example(
            "every exception is excluded",
            """
from aiobreaker import CircuitBreaker

breaker = CircuitBreaker(fail_max=5, exclude=[Exception])
""",
        ),
        Example(
            "no pause",
            """
from datetime import timedelta
from aiobreaker import CircuitBreaker

breaker = CircuitBreaker(fail_max=5, timeout_duration=timedelta(0))
""",
        ),
        Example(
            "closed before each call",
            """
class Gateway:
    def send(self, message):
        self.breaker.close()
        return self.breaker.call(self.transport.send, message)
""",
        ),
        Example(
            "closed because it was open",
            """
def fetch(url):
    try:
        return breaker.call(client.get, url)
    except CircuitBreakerError:
        breaker.close()
        raise
""",
        ),
        Example(
            "pybreaker around a coroutine function",
            """
import pybreaker

breaker = pybreaker.CircuitBreaker(fail_max=5)

@breaker
async def fetch(url):
    return await client.get(url)
""",
        ),
        Example(
            "reset in a load test",
            """
from locust import HttpUser, task

class Shopper(HttpUser):
    @task
    def browse(self):
        shop_breaker.reset()
        self.client.get("/")
""",
        ),
    ),
    good=(
        Example(
            "a threshold that traffic reaches",
            """
import pybreaker

breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30, exclude=[ValueError])
""",
        ),
        Example(
            "an operator's reset",
            """
def reset_breaker(request, name):
    breaker = breakers[name]
    breaker.reset()
    return {"state": breaker.state}
""",
        ),
        Example(
            "closed after a success",
            """
def fetch(url):
    page = breaker.call(client.get, url)
    if breaker.current_state == "half-open":
        breaker.close()
    return page
""",
        ),
        Example(
            "a test of the breaker",
            """
def test_breaker_closes_again():
    breaker = CircuitBreaker(fail_max=1, reset_timeout=0)
    breaker.close()
    assert breaker.state == "closed"
""",
        ),
    ),
)
