"""Finds places that switch a circuit breaker off: by an argument, a setting, the environment or a branch.

## What it does

Reports a call that asks to go without (`bypass_breaker=True`, `use_circuit_breaker=False`,
`disable_circuit_breaker()`), a setting that is turned off in code (`breaker.enabled = False`, `settings["use_breaker"]
= False`, `os.environ["DISABLE_BREAKER"] = "1"`), also for speed (`use_breaker = breaker and not fast`), and a branch
that makes the call past the breaker because a parameter, a setting or an environment variable says so; likewise a
parameter that overrules the breaker's answer (`if not skip_breaker and not breaker.allow_request()`) or is handed on to
it. What stands in a performance or load test is named as such.

It leaves alone other tests and presets for them, health probes, code that reports a state, an object that only decides
whether it makes a breaker at all, and a branch that logs, warns or counts that it goes past: that is an audited kill
switch. A breaker class's own code may do as it likes, and so may a function that is the switch itself: its callers are
judged. Where the function logs or counts something about the breaker, and where a switch's default is seen to be on, it
is at most advice.

## Why is this bad

The breaker protects the provider, and everyone who shares it, on the day it is down. A switch that nobody sees removes
the protection on exactly that day: somebody turned it off for one run, and nothing shows it. A load test that goes
without measures another program than the one that runs.

## Example

```python
async def charge(order):
    if not settings.use_breaker:
        return await gateway.charge(order)
    return await breaker.call(gateway.charge, order)
```

## Use instead

```python
async def charge(order):
    return await breaker.call(gateway.charge, order)
```

Where a switch has to be, each call that it lets past is logged or counted, so that somebody sees it:

```python
async def charge(order):
    if not settings.use_breaker:
        logger.warning("order %s is charged past the circuit breaker", order.number)
        return await gateway.charge(order)
    return await breaker.call(gateway.charge, order)
```

## Fix safety

Nothing is rewritten: whoever needs the switch has to say why, and a load test that ran without the breaker measures
something else with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._breakers.switches import Switches
from penstock_migrations._breakers.words import Mentioned
from penstock_migrations._code.module import Module
from penstock_migrations.rule import Defect, Example, Options, Rule

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the places where a breaker is switched off."""
    if not module.analysis(Mentioned).anywhere:
        return
    switches = module.analysis(Switches)
    for switch in switches.found():
        said = switches.places.said(switch.node)
        yield Defect(
            node=switch.node,
            severity=switch.severity,
            message=(
                f"{switch.what} switches a circuit breaker off{said}, unseen;"
                " leave it on, or log each call that goes past it"
            ),
            fix_reason="who may switch the breaker off is a decision; keep the breaker, or show what passes it",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN701",
    triggers=(b"reaker", b"REAKER"),
    detect=detect,
    bad=(
        Example(
            "a setting decides, and nobody is told",
            """
async def charge(order):
    if not settings.use_breaker:
        return await gateway.charge(order)
    return await breaker.call(gateway.charge, order)
""",
        ),
        Example(
            "any caller may go past",
            """
class Client:
    async def send(self, message, bypass_breaker=False):
        if not bypass_breaker and not self.breaker.allow_request():
            raise Unavailable
        return await self.transport.send(message)
""",
        ),
        Example(
            "a caller does",
            """
async def import_all(client, rows):
    for row in rows:
        await client.put(row, use_circuit_breaker=False)
""",
        ),
        Example(
            "the environment, in a load test",
            """
import os

def run_load_test(target):
    os.environ["DISABLE_CIRCUIT_BREAKER"] = "1"
    return hammer(target)
""",
        ),
        Example(
            "the breaker's own switch",
            """
import pybreaker

breaker = pybreaker.CircuitBreaker(fail_max=5)

def warm_up(urls):
    breaker.enabled = False
    for url in urls:
        fetch(url)
""",
        ),
        Example(
            "a parameter overrules the breaker",
            """
async def execute(call, skip_circuit_breaker=False):
    circuit = circuits.get(call.adapter)
    if not skip_circuit_breaker and not circuit.allow_request():
        raise Unavailable
    return await call.adapter.execute(call)
""",
        ),
    ),
    good=(
        Example(
            "an audited kill switch",
            """
import os

def call(request):
    if os.getenv("DISABLE_BREAKER", "0") == "1":
        logger.warning("circuit breaker switched off by DISABLE_BREAKER")
        return send(request)
    return breaker.call(send, request)
""",
        ),
        Example(
            "a health probe asks what is there, whatever the breaker thinks",
            """
async def health_check(client):
    return await client.get("/health", skip_circuit_breaker=True)
""",
        ),
        Example(
            "an option, on unless configured otherwise, decides what is made",
            """
class Client:
    def __init__(self, enable_circuit_breaker=True):
        self.breaker = CircuitBreaker() if enable_circuit_breaker else None
""",
        ),
        Example(
            "a state that is reported",
            """
def get_stats(self):
    return {"circuit_breaker_enabled": False, "calls": self.calls}
""",
        ),
        Example(
            "a test of the breaker",
            """
import pytest

def test_disabled_breaker_lets_through():
    breaker = CircuitBreaker(enabled=False)
    assert breaker.allow_request()
""",
        ),
    ),
)
