"""The words of circuit breakers: what they are called, what switches them, what closes them."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Module
from penstock_migrations._code.vocabulary import words

__all__ = [
    "ADMINISTRATION",
    "CHECKS",
    "CLOSES",
    "GUARDS",
    "METHODS",
    "PERFORMANCE",
    "PROBES",
    "REPORTS",
    "STATE_SWITCHES",
    "Mentioned",
    "is_off",
    "names_breaker",
    "switch_polarity",
]

_OTHER_BREAKERS = frozenset(
    ["tie", "ice", "line", "page", "word", "text", "loop", "path", "code", "deal", "record", "sentence", "jail", "wind"]
)
_OFF_WORDS = frozenset(
    ["bypass", "bypassed", "bypasses", "skip", "skipped", "disable", "disabled", "ignore", "no", "without"]
)
_ON_WORDS = frozenset(["use", "enable", "enabled", "with", "active", "on"])
_CLOSED = ["always_closed", "force_closed", "forced_closed"]
STATE_SWITCHES = {"enabled": True, "is_enabled": True, "active": True, "disabled": False, "bypass": False}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})

# Methods that run what they are given under a breaker, ask it for leave, and close it by hand.
GUARDS = frozenset(
    ["call", "call_async", "acall", "execute", "execute_async", "protect", "guard", "run", "invoke", "wrap", "decorate"]
)
CHECKS = frozenset(
    [
        "allow",
        "allow_request",
        "allows",
        "can_execute",
        "can_proceed",
        "can_call",
        "can_attempt",
        "before_call",
        "acquire",
        "try_acquire",
        "is_open",
        "is_closed",
        "is_call_permitted",
        "is_available",
        "check",
        "record_success",
        "record_failure",
        "on_success",
        "on_failure",
        "should_allow",
    ]
)
CLOSES = frozenset(
    [
        "close",
        "reset",
        "force_close",
        "force_closed",
        "close_circuit",
        "reset_circuit",
        "transition_to_closed",
        "to_closed",
        "transition_to_closed_state",
    ]
)
METHODS = GUARDS | CHECKS | frozenset({"__call__", "__enter__", "__aenter__", "open", "trip", "state", "current_state"})
PROBES = frozenset(
    [
        "health",
        "healthcheck",
        "healthz",
        "probe",
        "ping",
        "heartbeat",
        "readiness",
        "liveness",
        "ready",
        "alive",
        "diagnostic",
    ]
)
REPORTS = frozenset(
    [
        "stat",
        "stats",
        "status",
        "info",
        "summary",
        "report",
        "snapshot",
        "schema",
        "describe",
        "metric",
        "metrics",
        "state",
    ]
)
ADMINISTRATION = frozenset(
    [
        "reset",
        "admin",
        "operator",
        "manual",
        "manually",
        "override",
        "maintenance",
        "shutdown",
        "close",
        "cleanup",
        "teardown",
        "stop",
        "aclose",
        "restore",
        "recover",
        "rebalance",
        "reinitialize",
        "reload",
        "clear",
    ]
)
PERFORMANCE = frozenset(
    [
        "perf",
        "performance",
        "load",
        "stress",
        "bench",
        "benchmark",
        "soak",
        "throughput",
        "latency",
        "locust",
        "loadtest",
        "stresstest",
        "spike",
    ]
)


def names_breaker(name: str, *, short: bool = False) -> bool:
    """Say whether a name is that of a circuit breaker; short forms as `cb` and `circuit` count where asked for."""
    found = words(name)
    if "circuitbreaker" in found or (short and not {"cb", "circuit"}.isdisjoint(found)):
        return True
    return any(
        word == "breaker" and (place == 0 or found[place - 1] not in _OTHER_BREAKERS)
        for place, word in enumerate(found)
    )


def switch_polarity(name: str) -> bool | None:
    """Return the value that leaves a breaker on, for the name of its switch: True for `use_breaker`; else None."""
    if not names_breaker(name, short=True):
        return None
    found = words(name)
    if {"ignore", "on"} <= set(found):
        return None  # circuit_ignore_on: which errors count
    if not _OFF_WORDS.isdisjoint(found) or found[-2:] in [words(name) for name in _CLOSED]:
        return False
    return None if _ON_WORDS.isdisjoint(found) else True


def is_off(value: ast.expr, polarity: bool) -> bool:
    """Say whether a constant turns a switch the wrong way; texts count as environment variables do."""
    if not isinstance(value, ast.Constant):
        return False
    given = value.value
    if isinstance(given, str):
        return given.lower() in (_FALSE if polarity else _TRUE)
    if isinstance(given, bool) or given in (0, 1):
        return bool(given) is not polarity
    return False


class Mentioned:
    """Says whether a module speaks of circuit breakers at all: most do not, and need no closer look."""

    def __init__(self, module: Module) -> None:
        self.anywhere = "reaker" in module.text or "REAKER" in module.text
