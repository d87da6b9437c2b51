"""What a query leaves behind in its session, as far as its text tells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["NOTHING", "SessionState", "left_by"]

_REMEMBERED = 512  # queries; programs have few, and say them again and again
_START = r"(?:\A|;)\s*"

_RESETTABLE = {
    "settings": _START + r"set\s+(?!local\b|transaction\b|constraints\b)|\bset_config\s*\(",
    "temporary tables": r"\btemp(?:orary)?\s+(?:table|view|sequence)\b|\binto\s+temp(?:orary)?\b",
    "advisory locks": r"\bpg_(?:try_)?advisory_lock(?:_shared)?\s*\(",
    "prepared statements": _START + r"prepare\s+(?!transaction\b)",
    "listeners": _START + r"listen\b",
    "cursors": r"\bwith\s+hold\b",
}
# No command takes these back: they end with their session.
_LASTING = {
    "loaded libraries": _START + r"load\b",
    "a random seed": r"\bsetseed\s*\(|\bset\s+(?:(?:session|local)\s+)?seed\b|\bset_config\s*\(\s*'seed'",
    "connections of dblink": r"\bdblink_connect(?:_u)?\s*\(",
    "a replication origin": r"\bpg_replication_origin_session_setup\s*\(",
    "settings by name": r"\bset_config\s*\(\s*(?:(?!')|'[^']*[^\w.'][^']*'|'[^']*'(?!\s*(?:::\s*\w+\s*)?,))",
    'settings like "my app".name': r'\bset\s+(?:(?:session|local)\s+)?(?:u&|"[^"]*\.[^"]*"|"[^"]*"\.|\w+\.")',
}
# A setting that no extension knows stays known to its session, and empty, even after RESET or a rollback.
_CUSTOM = r"\bset\s+(?:(?:session|local)\s+)?(\w+\.[\w.]+)|\bset_config\s*\(\s*'(\w+\.[\w.]+)'"


def _compiled(patterns: dict[str, str]) -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern) for kind, pattern in patterns.items()}


_resettable, _lasting = _compiled(_RESETTABLE), _compiled(_LASTING)
_custom = re.compile(_CUSTOM)
_comment = re.compile(r"/\*(?:(?!/\*|\*/).)*\*/|--[^\n]*", re.DOTALL)  # an innermost one
_quoted_word = re.compile(r'"(\w+)"')
_WORDS = ("set", "temp", "advisory", "prepare", "listen", "hold", "load", "dblink", "replication")  # one is in each


@dataclass(frozen=True, slots=True)
class SessionState:
    """What is left in a session.

    Attributes:
        resettable: What DISCARD ALL takes back.
        lasting: What nothing takes back.
        custom: Names of settings that may be no extension's.
    """

    resettable: frozenset[str] = field(default_factory=frozenset)
    lasting: frozenset[str] = field(default_factory=frozenset)
    custom: frozenset[str] = field(default_factory=frozenset)

    def __or__(self, other: SessionState) -> SessionState:
        return SessionState(
            self.resettable | other.resettable, self.lasting | other.lasting, self.custom | other.custom
        )


NOTHING = SessionState()


@lru_cache(_REMEMBERED)
def left_by(query: str) -> SessionState:
    """Return what a query leaves; what a function of the server does is not seen."""
    query = query.lower()
    if not any(word in query for word in _WORDS):  # which takes a hundredth of the time
        return NOTHING
    left, plain = _matches(query), _plain(query)
    if plain != query:
        left |= _matches(plain)  # as well, as what looks like a comment may be in a string
    return NOTHING if left == NOTHING else left


def _matches(query: str) -> SessionState:
    return SessionState(
        frozenset(kind for kind, pattern in _resettable.items() if pattern.search(query)),
        frozenset(kind for kind, pattern in _lasting.items() if pattern.search(query)),
        frozenset(a or b for a, b in _custom.findall(query)),
    )


def _plain(query: str) -> str:
    """Return a query without comments, and with quotes only where a name needs them."""
    found = 1
    while found:
        query, found = _comment.subn(" ", query)
    return _quoted_word.sub(r"\1", query)
