"""The words people use in names, where a name is all there is to see of a limit, a worker or a configuration."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = [
    "CHUNK",
    "CONFIGURED",
    "DATA",
    "ENDLESS",
    "LIMITER",
    "LIMITING",
    "SETTINGS",
    "TASK",
    "TEARDOWN",
    "WORKER",
    "mentions",
    "says",
    "vocabulary",
    "words",
]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


def vocabulary(text: str) -> frozenset[str]:
    """Return the words of a text, which names are compared with."""
    return _vocabulary(text)


# What an object is called that limits, and what else a function or a context is called that does.
LIMITER = _vocabulary("semaphore semaphor sem sema limiter ratelimiter ratelimit throttle throttler bulkhead")
LIMITING = LIMITER | _vocabulary("throttled bounded limited capacity slot")
CHUNK = _vocabulary("batch batched chunk chunked window partition sliced page")
WORKER = _vocabulary(
    "worker consumer parallel parallelism concurrency concurrent concurrently cpu thread shard replica"
)
# What a program is set up with, a handful of each; what it is fed with (documents, urls, calls) is not among them.
CONFIGURED = _vocabulary(
    "adapter agent backend callback capability checker classifier condition connector evaluator exporter extension"
    " filter grader guardrail handler hook integration interceptor judge listener llm method metric middleware model"
    " observer participant plugin processor provider reporter retriever runner scorer server service setting sink"
    " storage store strategy subscriber subscription subsystem tool transport validator watcher worker"
)
# What a program is fed with, and an object may hold nonetheless.
DATA = _vocabulary(
    "case chunk customer doc document email file image input job link order page path prompt query question record"
    " request row sample text ticket url user video"
)
SETTINGS = _vocabulary("settings setting config cfg conf configuration option")
ENDLESS = _vocabulary(
    "consume consumer daemon forever heartbeat keepalive listen listener listening loop monitor poller serve"
    " subscribe watch watcher worker"
)
TEARDOWN = _vocabulary("aclose cancel cleanup close disconnect dispose shutdown stop terminate")
TASK = _vocabulary("future task handle")
_PREPOSITIONS = _vocabulary("by for from in of on per to with")
_ATTRIBUTES = _vocabulary("name id key value list item map dict set triggered registered active enabled")


@lru_cache(16384)
def words(name: str) -> tuple[str, ...]:
    """Split an identifier into lower-case words in the singular: `maxWorkers`, `MAX_WORKERS` into max, worker."""
    return tuple(_singular(word.lower()) for word in _WORD.findall(name))


def mentions(name: str, vocabulary: frozenset[str]) -> bool:
    """Say whether any word of a name is in a vocabulary."""
    return not vocabulary.isdisjoint(words(name))


def says(name: str, vocabulary: frozenset[str]) -> bool:
    """Say whether what a name stands for, its last word, is in a vocabulary: `other_listeners`, `listener_names`."""
    found = words(name)
    ends = [place for place, word in enumerate(found) if word in _PREPOSITIONS and place > 0]
    found = found[: ends[0]] if ends else found
    found = tuple(word for word in found if word not in _ATTRIBUTES) or found
    return bool(found) and found[-1] in vocabulary and "and" not in found


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 else word
