"""What of a text may be shown: labels, snapshots and pages are read by more people than the program's settings."""

from __future__ import annotations

import functools
import os
import re
import time
from typing import Final

__all__ = ["HIDDEN", "LONGEST", "shown", "shown_name", "shown_sentence", "without_secrets"]

HIDDEN: Final = "***"
LONGEST: Final = 120  # characters

_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW|DSN|DATABASE_URL|CREDENTIAL", re.IGNORECASE)
_QUOTED = re.compile(r"""(['"])(.*)\1""", re.DOTALL)
_SHORTEST = 8  # characters of a variable's value that is looked for; shorter ones are words
_LOOKED_EVERY = 10  # seconds; a look at the environment takes longer than the rest
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), with_what)
    for pattern, with_what in (
        (r"(?<=://)\S*@", f"{HIDDEN}@"),
        (
            (
                r"((?:(?:access|account|api|private)[_-]?key|passw\w*|pwd|secret|token)[\"']?\s*[=:]\s*[\"']?)"
                r"(?:bearer\s+)?[^\s&,;\"']+"
            ),
            rf"\1{HIDDEN}",
        ),
        (r"(authorization[\"']?\s*[=:]\s*[\"']?)(?:\w+\s+)?[^\s\"']+", rf"\1{HIDDEN}"),
        (r"\bbearer\s+\S+", HIDDEN),
        (r"\b(?:sk|pk|rk|gh[oprsu]|xox[a-z])[-_][\w-]{6,}", HIDDEN),
        (r"\bAKIA[A-Z0-9]{12,}", HIDDEN),
        (r"\beyJ[\w-]{8,}\.[\w.-]+", HIDDEN),
    )
)


@functools.lru_cache(maxsize=4096)
def shown(text: str) -> str:
    """Return the beginning of a text, without secrets."""
    text = without_secrets(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def without_secrets(text: str) -> str:
    """Return a text without what looks like a secret: passwords in URLs, keys, tokens, values of secret variables."""
    text = text.encode("utf-8", "replace").decode()  # names of files may hold what no text may
    for value in _secret_values(int(time.monotonic() // _LOOKED_EVERY)):
        text = text.replace(value, HIDDEN)
    for pattern, with_what in _PATTERNS:
        text = pattern.sub(with_what, text)
    return text


def shown_name(text: str) -> str:
    """Return the name of a piece of work, if it is one: people put what the work is about into names with spaces."""
    return HIDDEN if len(text.split()) != 1 else shown(text)


def shown_sentence(text: str) -> str:
    """Return a sentence such as `limiter 'api_call'`: its own words may be shown, what it quotes if it is a name."""
    return shown(_QUOTED.sub(lambda quoted: f"{quoted[1]}{shown_name(quoted[2])}{quoted[1]}", text))


@functools.lru_cache(maxsize=1)
def _secret_values(_now: int) -> list[str]:
    return [value for name, value in os.environ.items() if len(value) >= _SHORTEST and _SECRET_NAMES.search(name)]
