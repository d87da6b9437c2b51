"""Finds calls past a circuit breaker: the raw function is called although a breaker guards it elsewhere.

## What it does

Learns which functions a breaker guards in the module: `guarded = breaker(fetch)`, `breaker.call(fetch, ...)`, also by a
lambda, a `functools.partial` or a helper such as `_run_with_circuit_breaker(fetch)`, and the only call in `with
breaker:`. It reports another call of the same function that runs under no breaker, and `__wrapped__` (or
`inspect.unwrap`) of a decorated one. A function of the same name in the asynchronous twin of a method counts as the
same. Of a client that an object holds, it also reports another request: `client.stream` where `client.post` is guarded.
What stands in a performance or load test is named as such.

It leaves alone calls in what is itself guarded, in a function that asks the breaker for leave or tells it the outcome,
in a branch that asks whether there is a breaker, in what makes a part of a guarded call or logs in, abstract methods,
other tests and health probes.

## Why is this bad

The breaker is open because the provider is down, and the call goes there all the same: it waits for its timeout, holds
its connection, and adds load to what should recover. Its failures are not counted either, so the breaker opens late.

## Example

```python
guarded_fetch = breaker(fetch)

async def refresh(url):
    return await fetch(url)
```

## Use instead

```python
guarded_fetch = breaker(fetch)

async def refresh(url):
    return await guarded_fetch(url)
```

Best is to guard the function where it is defined, so that there is nothing to call past it.

## Fix safety

Nothing is rewritten: with the breaker a call may raise what its caller does not expect.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.bypasses import Bypasses
from penstock_migrations._breakers.siblings import Siblings
from penstock_migrations._breakers.words import Mentioned
from penstock_migrations._code.module import Module
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the calls past a breaker."""
    if not module.analysis(Mentioned).anywhere:
        return
    found = module.analysis(Bypasses)
    places = module.analysis(Breakers).places
    direct = [(node, what, "it") for node, what in (*found.unwrapped(), *found.direct())]
    for node, what, guarded in (*direct, *module.analysis(Siblings).found()):
        yield Defect(
            node=node,
            severity=Severity.HIGH if guarded == "it" else Severity.MEDIUM,
            message=(
                f"{what} goes past the circuit breaker that guards {guarded} elsewhere{places.said(node)};"
                " call it under the breaker"
            ),
            fix_reason="under the breaker the call may raise what its caller does not expect",
        )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN702",
    triggers=(b"reaker",),
    detect=detect,
    bad=(
        Example(
            "a guarded function, and the raw one called",
            """
def fetch_page(url):
    return client.get(url)

guarded_fetch = breaker(fetch_page)

def refresh(url):
    return fetch_page(url)
""",
        ),
        Example(
            "guarded in one method, not in another",
            """
class Search:
    async def one(self, query):
        return await self.breaker.call(self.index.search, query)

    async def many(self, queries):
        return [await self.index.search(query) for query in queries]
""",
        ),
        Example(
            "the function beneath a decorated one, in a benchmark",
            """
from circuitbreaker import circuit

@circuit(failure_threshold=5)
def quote(symbol):
    return exchange.get(symbol)

def benchmark_quotes(symbols):
    for symbol in symbols:
        quote.__wrapped__(symbol)
""",
        ),
        Example(
            "because the breaker is open",
            """
import pybreaker

breaker = pybreaker.CircuitBreaker(fail_max=3)

def load(key):
    return store.get(key)

def read(key):
    try:
        return breaker.call(load, key)
    except pybreaker.CircuitBreakerError:
        return load(key)
""",
        ),
        Example(
            "another request of the same client",
            """
class Provider:
    async def chat(self, payload):
        return await self.breaker.call(self.client.post, "/chat", payload)

    async def stream(self, payload):
        async with self.client.stream("POST", "/chat", json=payload) as response:
            yield response
""",
        ),
    ),
    good=(
        Example(
            "every call is guarded",
            """
class Search:
    async def one(self, query):
        return await self.breaker.call(self.index.search, query)

    async def many(self, queries):
        async with self.breaker:
            return [await self.index.search(query) for query in queries]
""",
        ),
        Example(
            "no breaker was configured",
            """
class Search:
    async def one(self, query):
        if self.breaker is None:
            return await self.index.search(query)
        return await self.breaker.call(self.index.search, query)
""",
        ),
        Example(
            "the breaker is asked by hand",
            """
class Search:
    async def one(self, query):
        return await self.breaker.call(self.index.search, query)

    async def stream(self, query):
        if not self.breaker.allow_request():
            raise Unavailable
        return await self.index.search(query)
""",
        ),
        Example(
            "a part of a guarded request",
            """
class Provider:
    async def chat(self, payload):
        if not self.breaker.allow_request():
            raise Unavailable
        return await self.client.post("/chat", payload, await self._key())

    async def _key(self):
        return await self.client.post("/key")
""",
        ),
        Example(
            "a health probe",
            """
def ping(url):
    return client.get(url)

def fetch(url):
    return breaker.call(ping, url)

def health_check(url):
    return ping(url)
""",
        ),
    ),
)
