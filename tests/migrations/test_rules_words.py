"""The words in names, where a name is all there is to see."""

from __future__ import annotations

import pytest
from penstock_migrations._code.vocabulary import CONFIGURED, LIMITER, WORKER, mentions, says, words


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("max_workers", ["max", "worker"]),
        ("MAX_WORKERS", ["max", "worker"]),
        ("maxWorkers", ["max", "worker"]),
        ("HTTPLimiter2", ["http", "limiter", "2"]),
        ("_strategies", ["strategy"]),
        ("process", ["process"]),
        ("", []),
    ],
)
def test_splits_names_into_words_in_the_singular(name, split):
    """Snake case, camel case and constants give the same words."""
    assert words(name) == tuple(split)


@pytest.mark.parametrize(("name", "expected"), [("num_workers", True), ("workload", False), ("concurrency", True)])
def test_any_word_of_a_name_may_mention(name, expected):
    """A vocabulary is mentioned by a whole word, wherever it stands."""
    assert mentions(name, WORKER) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("other_listeners", True),
        ("listener_names", True),
        ("handlers_by_key", True),
        ("agent_results", False),
        ("tool_calls", False),
        ("questions_and_tools", False),
    ],
)
def test_the_last_word_says_what_a_name_stands_for(name, expected):
    """What comes before only qualifies it; words such as names and keys do not count."""
    assert says(name, CONFIGURED) is expected


def test_a_limiter_is_no_part_of_a_word():
    """Assembling is no semaphore."""
    assert not mentions("assembled_semantics", LIMITER)
