"""Finds retries of libraries that wait without jitter.

## What it does

Reports tenacity's `wait_exponential`, `wait_fixed` and `wait_incrementing` where no random wait is added, and its
retries that wait not at all; `backoff` with `jitter=None`; `retrying` without `wait_jitter_max`; urllib3's `Retry` with
`backoff_factor` but without `backoff_jitter`; celery tasks with `retry_jitter=False`, and `self.retry(countdown=...)`
with a delay that is not random; `stamina` with `wait_jitter=0`; and aiohttp_retry's retries other than `JitterRetry`.

It leaves alone what is random by default (backoff, stamina, celery's `retry_backoff`), sums such as
`wait_fixed(1) + wait_random(0, 1)`, retries for a result that is not there yet (polling), and local files.

## Why is this bad

What fails together tries again together. After an outage all clients come back in the same second, and in the same
second after the next pause: each wave overloads the server anew. Exponential backoff makes waves rarer, not smaller.

## Example

```python
@retry(wait=wait_exponential(max=60), stop=stop_after_attempt(5))
def fetch(url):
    ...
```

## Use instead

```python
@retry(wait=wait_random_exponential(max=60), stop=stop_after_attempt(5))
def fetch(url):
    ...
```

That is full jitter: any time between nothing and the growing maximum.

## Fix safety

Not rewritten: jitter changes how long callers wait, and tests that count on the pauses.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._retries.libraries import plain_calls, plain_waits, unwaited_retries
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_RANDOM = {"wait_exponential": "wait_random_exponential", "wait_fixed": "wait_fixed(...) + wait_random(0, ...)"}


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the retries of libraries that wait without jitter."""
    for call in plain_waits(module):
        name = last_name(call.func)
        instead = _RANDOM.get(name, "wait_random_exponential")
        yield _defect(call, f"tenacity.{name} has no jitter; use tenacity.{instead}")
    for call in unwaited_retries(module):
        yield _defect(
            call,
            f"tenacity.{last_name(call.func)} without wait tries again at once; use"
            " wait=tenacity.wait_random_exponential(...)",
        )
    for call, what, instead in plain_calls(module):
        yield _defect(call, f"{what}; use {instead}")


def _defect(node: ast.expr, message: str) -> Defect:
    return Defect(
        node=node,
        severity=Severity.MEDIUM,
        message=message,
        fix_reason="jitter changes how long callers wait, and tests that count on the pauses",
    )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN801",
    triggers=(b"tenacity", b"backoff", b"retrying", b"Retry", b"retry"),
    detect=detect,
    bad=(
        Example(
            "tenacity, exponential",
            """
from tenacity import retry, stop_after_attempt, wait_exponential

@retry(stop=stop_after_attempt(5), wait=wait_exponential(multiplier=1, max=60))
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "tenacity's loop with a fixed wait that has a name",
            """
import tenacity

WAIT = tenacity.wait_fixed(2)

async def fetch(url):
    async for attempt in tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(5), wait=WAIT):
        with attempt:
            return await get(url)
""",
        ),
        Example(
            "tenacity without a wait",
            """
from tenacity import Retrying, stop_after_attempt

def fetch(url):
    return Retrying(stop=stop_after_attempt(3))(get, url)
""",
        ),
        Example(
            "backoff told to have none",
            """
import backoff

@backoff.on_exception(backoff.expo, ConnectionError, max_tries=5, jitter=None)
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "retrying",
            """
from retrying import retry

@retry(wait_exponential_multiplier=1000, stop_max_attempt_number=5)
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "urllib3",
            """
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

def adapter():
    return HTTPAdapter(max_retries=Retry(total=3, backoff_factor=0.5, status_forcelist=[502, 503]))
""",
        ),
        Example(
            "a celery task",
            """
from celery import shared_task

@shared_task(bind=True, max_retries=5)
def send(self, message):
    try:
        deliver(message)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=2**self.request.retries)
""",
        ),
    ),
    good=(
        Example(
            "tenacity's random waits",
            """
from tenacity import retry, stop_after_attempt, wait_fixed, wait_random, wait_random_exponential

@retry(stop=stop_after_attempt(5), wait=wait_random_exponential(max=60))
def fetch(url):
    return get(url)

@retry(stop=stop_after_attempt(5), wait=wait_fixed(1) + wait_random(0, 2))
def load(url):
    return get(url)
""",
        ),
        Example(
            "polling for a result",
            """
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

@retry(retry=retry_if_result(lambda state: state != "done"), wait=wait_fixed(1), stop=stop_after_delay(60))
def state_of(job):
    return job.state()
""",
        ),
        Example(
            "backoff's default",
            """
import backoff

@backoff.on_exception(backoff.expo, ConnectionError, max_tries=5)
def fetch(url):
    return get(url)
""",
        ),
        Example(
            "urllib3 with jitter, and a Retry that is not urllib3's",
            """
from redis.backoff import NoBackoff
from redis.retry import Retry
from urllib3 import Retry as HttpRetry

HTTP = HttpRetry(total=3, backoff_factor=0.5, backoff_jitter=1.0)
REDIS = Retry(NoBackoff(), 0)
""",
        ),
        Example(
            "celery's default",
            """
from celery import shared_task

@shared_task(autoretry_for=(ConnectionError,), retry_backoff=True, max_retries=5)
def send(message):
    deliver(message)
""",
        ),
    ),
)
