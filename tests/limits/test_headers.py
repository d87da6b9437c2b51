"""What is read out of a provider's response headers, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_limits._headers import Advice, advice, retry_after

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
ALL = ("requests", "tokens", "input_tokens", "output_tokens")

OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "Anthropic-RateLimit-Requests-Limit": "50",
    "Anthropic-RateLimit-Requests-Remaining": "49",
    "Anthropic-RateLimit-Requests-Reset": "2026-01-01T00:00:05Z",
    "Anthropic-RateLimit-Input-Tokens-Remaining": "8000",
    "Anthropic-RateLimit-Input-Tokens-Reset": "2026-01-01T00:00:30+00:00",
    "Anthropic-RateLimit-Output-Tokens-Remaining": "0",
    "Anthropic-RateLimit-Output-Tokens-Reset": "2026-01-01T00:01:00.500Z",
}


def test_openai_says_what_remains_and_for_how_long() -> None:
    """Durations as Go writes them."""
    learned = advice(OPENAI, ALL, NOW)

    assert learned.budgets == {"requests": (59, 1), "tokens": (149_984, 360)}
    assert learned.limits == {"requests": 60, "tokens": 150_000}
    assert learned.pause is None


def test_anthropic_says_it_in_dates() -> None:
    """Names may be in any case, and nothing left is no nonsense."""
    learned = advice(ANTHROPIC, ALL, NOW)

    assert learned.budgets == {"requests": (49, 5), "input_tokens": (8_000, 30), "output_tokens": (0, 60.5)}
    assert learned.limits == {"requests": 50}


@pytest.mark.parametrize(
    ("dimensions", "budgets"),
    [
        (("requests", "tokens"), {"requests": (7, 30)}),
        (("searches",), {"searches": (7, 30)}),
        (("searches", "tokens"), {}),
    ],
)
@pytest.mark.parametrize("reset", ["30", "30s", "1767225630", "Thu, 01 Jan 2026 00:00:30 GMT"])
def test_headers_without_a_dimension_are_for_the_only_one_or_requests(
    dimensions: tuple[str, ...], budgets: dict[str, tuple[float, float]], reset: str
) -> None:
    """In seconds, as a duration, in seconds since 1970, or as a date."""
    headers = {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": reset}

    assert advice(headers, dimensions, NOW).budgets == budgets


def test_a_header_with_a_dimension_goes_before_one_without() -> None:
    """It says more."""
    headers = {"x-ratelimit-remaining": "7", "x-ratelimit-remaining-requests": "8", "x-ratelimit-reset": "30"}

    assert advice(headers, ("requests",), NOW).budgets == {"requests": (8, 30)}


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("20ms", 0.02),
        ("1h2m", 3720),
        ("2m59.56s", 179.56),
        ("1d", 86_400),
        ("500us", 0.0005),
        (" 1s ", 1),
        ("0.5", 0.5),
    ],
)
def test_durations_are_read(reset: str, seconds: float) -> None:
    """All that is longer than nothing and not longer than a day."""
    headers = {"x-ratelimit-remaining": "7", "x-ratelimit-reset": reset}

    assert advice(headers, ("requests",), NOW).budgets == {"requests": (7, pytest.approx(seconds))}


@pytest.mark.parametrize("reset", ["", "0s", "-1", "nan", "inf", "25h", "1s2", "1 s", "soon", "1767225599", "9" * 400])
def test_a_reset_that_is_nonsense_is_ignored(reset: str) -> None:
    """Past, more than a day ahead, or not to be read."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}

    assert advice(headers, ("requests",), NOW) == Advice()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining": "-1"},
        {"x-ratelimit-remaining": "nan"},
        {"x-ratelimit-remaining": "59, 59"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-limit": "0"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-limit": "-1"},
        {"x-ratelimit-limit": "0"},
        {},
    ],
)
def test_an_amount_that_is_nonsense_is_ignored(headers: dict[str, str]) -> None:
    """Providers send -1 and 0 for limits that they do not have."""
    assert advice(headers | {"x-ratelimit-reset": "30"}, ("requests",), NOW) == Advice()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, 7),
        ({"retry-after": "Wed, 31 Dec 2025 23:59:59 GMT"}, None),
        ({"retry-after": "Sat, 03 Jan 2026 00:00:00 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "86401"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_pause_is_read_in_seconds_and_dates(headers: dict[str, str], seconds: float | None) -> None:
    """And is part of the advice, whatever the case of its name."""
    assert retry_after(headers, NOW) == seconds
    assert advice({name.title(): value for name, value in headers.items()}, ("requests",), NOW).pause == seconds


@given(st.one_of(st.text(), st.text(alphabet="0123456789:-+TZ., GMTJanThumsd")))
def test_no_text_at_all_does_harm(text: str) -> None:
    """It is read sensibly, or ignored."""
    headers = dict.fromkeys(("retry-after", "x-ratelimit-remaining", "x-ratelimit-limit"), text)

    learned = advice(headers | {"x-ratelimit-reset": text}, ("requests",), NOW)

    assert learned.pause is None or 0 < learned.pause <= 86_400
    assert all(left >= 0 and 0 < seconds <= 86_400 for left, seconds in learned.budgets.values())
