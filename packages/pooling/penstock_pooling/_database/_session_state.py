"""What a query leaves behind in its session, as far as its text tells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["NOTHING", "SessionState", "left_by"]

_REMEMBERED = 512  # queries; programs have few, and say them again and again
_START = r"(?:\A|;)\s*"

_RESETTABLE = {
    "settings": _START + r"SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)|\bset_config\s*\(",
    "temporary tables": r"\bTEMP(?:ORARY)?\s+(?:TABLE|VIEW|SEQUENCE)\b|\bINTO\s+TEMP(?:ORARY)?\b",
    "advisory locks": r"\bpg_(?:try_)?advisory_lock(?:_shared)?\s*\(",
    "prepared statements": _START + r"PREPARE\s+(?!TRANSACTION\b)",
    "listeners": _START + r"LISTEN\b",
    "cursors": r"\bWITH\s+HOLD\b",
}
# No command takes these back: they end with their session.
_LASTING = {
    "loaded libraries": _START + r"LOAD\b",
    "a random seed": r"\bsetseed\s*\(|\bSET\s+(?:SESSION\s+)?seed\b",
    "connections of dblink": r"\bdblink_connect(?:_u)?\s*\(",
    "a replication origin": r"\bpg_replication_origin_session_setup\s*\(",
    "settings by name": r"\bset_config\s*\(\s*(?!')|\bset_config\s*\(\s*'[^']*[^\w.'][^']*'",
    'settings like "my app".name': r'\bSET\s+(?:(?:SESSION|LOCAL)\s+)?(?:"[^"]*"\.|\w+\.")',
}
# A setting that no extension knows stays known to its session, and empty, even after RESET or a rollback.
_CUSTOM = r"\bSET\s+(?:(?:SESSION|LOCAL)\s+)?(\w+\.[\w.]+)|\bset_config\s*\(\s*'(\w+\.[\w.]+)'"


def _compiled(patterns: dict[str, str]) -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in patterns.items()}


_resettable, _lasting = _compiled(_RESETTABLE), _compiled(_LASTING)
_custom = re.compile(_CUSTOM, re.IGNORECASE)
_any = re.compile("|".join([*_RESETTABLE.values(), *_LASTING.values(), _CUSTOM]), re.IGNORECASE)


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
    if not _any.search(query):
        return NOTHING
    return SessionState(
        frozenset(kind for kind, pattern in _resettable.items() if pattern.search(query)),
        frozenset(kind for kind, pattern in _lasting.items() if pattern.search(query)),
        frozenset((a or b).lower() for a, b in _custom.findall(query)),
    )
