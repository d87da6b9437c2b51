"""Finds retries after "too many requests" that do not ask how long to wait.

## What it does

Reports the sleep of a retry that handles status 429, or an error such as `RateLimitError`, where nothing in the
function reads `Retry-After` or another header that tells when the limit resets, and urllib3's
`Retry(respect_retry_after_header=False)`. It is advice of low severity where the pause has jitter; a pause without is
PEN802's.

## Why is this bad

The provider knows when it will answer again, and says so. Who comes earlier is refused again, and at some providers
pays with a longer ban; who comes later waits for nothing.

## Example

```python
if response.status_code == 429:
    await asyncio.sleep(random.uniform(0, 2**attempt))
```

## Use instead

```python
if response.status_code == 429:
    asked = float(response.headers.get("retry-after", 2**attempt))
    await asyncio.sleep(asked + random.uniform(0, 1))
```

The header may also be a date (RFC 9110, section 10.2.3), and what it asks for wants an upper bound.

## Fix safety

Not rewritten: where the answer's headers can be reached is different in every client.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._retries.libraries import is_true, keyword_of, urllib3_retries
from penstock_migrations._retries.loops import Loops
from penstock_migrations.rule import Defect, Example, Options, Rule, Severity

__all__ = ["RULE", "detect"]

_REASON = "where the answer's headers can be reached is different in every client"


def detect(module: Module, _options: Options) -> Iterator[Defect]:
    """Yield the retries that ignore Retry-After."""
    for retry in module.analysis(Loops).retries:
        if retry.limited and not retry.heeds and retry.delay.random:
            yield Defect(
                node=retry.sleep,
                severity=Severity.LOW,
                message="retry after 429 does not look at Retry-After; wait as long as the answer asks for",
                fix_reason=_REASON,
            )
    for call in urllib3_retries(module):
        if is_true(keyword_of(call, "respect_retry_after_header")) is False:
            yield Defect(
                node=call,
                severity=Severity.MEDIUM,
                message="urllib3's Retry is told to ignore Retry-After; leave respect_retry_after_header on",
                fix_reason=_REASON,
            )


RULE = Rule(
    module=__name__,
    documentation=__doc__ or "",
    code="PEN803",
    triggers=(b"429", b"sleep", b"respect_retry_after_header"),
    detect=detect,
    bad=(
        Example(
            "a pause of one's own: advice",
            """
import asyncio
import random

async def fetch(client, url):
    for attempt in range(5):
        response = await client.get(url)
        if response.status_code == 429:
            await asyncio.sleep(random.uniform(0, 2**attempt))
            continue
        return response
""",
        ),
        Example(
            "urllib3 told to ignore it",
            """
from urllib3.util.retry import Retry

RETRY = Retry(total=3, backoff_factor=1, backoff_jitter=1, respect_retry_after_header=False)
""",
        ),
    ),
    good=(
        Example(
            "the header is read",
            """
import asyncio
import random

async def fetch(client, url):
    for attempt in range(5):
        response = await client.get(url)
        if response.status_code == 429:
            asked = float(response.headers.get("Retry-After", 1))
            await asyncio.sleep(asked + random.uniform(0, 1))
            continue
        return response
""",
        ),
    ),
)
