"""For each rule what makes it fire, and what looks like it and does not: an hour of values, minute by minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from penstock_monitoring._registry.catalogue import metric_of
from penstock_monitoring._registry.metric import Metric

__all__ = ["EXAMPLES", "MINUTES", "Example", "Line"]

MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class Line:
    """The values of one series.

    Attributes:
        metric: The metric.
        values: As promtool writes them: `0+5x60` grows by 5 a minute.
        labels: All its labels.
    """

    metric: Metric
    values: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """What makes a rule fire, and what does not.

    Attributes:
        fires: What does.
        quiet: What does not.
        says: The value as the summary says it.
        labels: Of the alert, of a rule that is a query.
    """

    fires: tuple[Line, ...]
    quiet: tuple[Line, ...]
    says: str = ""
    labels: dict[str, str] = field(default_factory=dict)


def _grows(by: float) -> str:
    return f"0+{by:g}x{MINUTES}"


def _stays(at: float) -> str:
    return f"{at:g}+0x{MINUTES}"


def _line(kind: str, what: str, values: str, **labels: str) -> Line:
    metric = metric_of(kind, what)
    own = dict.fromkeys(metric.labels, "api") | dict(metric.fixed)
    return Line(metric, values, {"job": "agents", "instance": "a:8000"} | own | labels)


def _counts(kind: str, what: str, says: str) -> Example:
    """Return what makes a rule fire that a counter grows: it grows by one a minute, or has grown long ago."""
    return Example((_line(kind, what, _grows(1)),), (_line(kind, what, _stays(3)),), says)


def _near(kind: str) -> Example:
    """Return what makes a rule fire that a limit is nearly used up: all the time, or for a third of it."""
    of = (kind, "near_limit_seconds")
    return Example((_line(*of, _grows(60)),), (_line(*of, _grows(20)),), "100%")


def _waits(kind: str, seconds: float, says: str, waited: str = "waited") -> Example:
    """Return what makes a rule fire about waiting: so long, or a tenth of a second."""
    often = _line(kind, waited, _grows(10))
    longer, shorter = (_line(kind, "wait_seconds", _grows(10 * each)) for each in (seconds, 0.1))
    return Example((longer, often), (shorter, often), says)


def _refuses(kind: str, what: str = "rejected") -> Example:
    """Return what makes a rule fire about callers that are refused: one of ten, or none."""
    admitted = _line(kind, "acquired", _grows(9))
    some, none = (_line(kind, what, values) for values in (_grows(1), _stays(2)))
    return Example((some, admitted), (none, admitted), "10%")


def _is(kind: str, what: str, amiss: float, well: float, says: str = "", **labels: str) -> Example:
    """Return what makes a rule fire that something is so: one value, or another."""
    one, other = (_line(kind, what, _stays(value), **labels) for value in (amiss, well))
    return Example((one,), (other,), says)


def _drift() -> Example:
    """Return what makes a rule fire about modes: two processes in different ones, or in one and the same."""
    one, other = _process("a:8000", "off"), _process("b:8000", "enforce")
    labels = {"job": "agents", "environment": "production", "capability": "bounded-fanout"}
    return Example(one + other, one + _process("b:8000", "off"), "2", labels)


def _process(instance: str, mode: str) -> tuple[Line, ...]:
    states = metric_of("capability", "mode").states
    of = {"instance": instance, "capability": "bounded-fanout"}
    return (
        _line("flags", "source", _stays(1), instance=instance, environment="production", source="Flags"),
        *(_line("capability", "mode", _stays(mode == state), mode=state, **of) for state in states),
    )


def _no_data() -> Example:
    """Return what makes a rule fire about what is missing: it was there for a while, or is still."""
    of = ("build", "implementation")
    return Example((_line(*of, "1+0x20 _x40"),), (_line(*of, _stays(1)),), labels={"job": "agents"})


EXAMPLES: Final[dict[str, Example]] = {
    "PenstockLimiterNearLimit": _near("limiter"),
    "PenstockLimiterWait": _waits("limiter", 10, "10s"),
    "PenstockLimiterRejects": _refuses("limiter"),
    "PenstockRateWait": _waits("rate", 60, "1m 0s"),
    "PenstockRateRejects": _refuses("rate"),
    "PenstockPoolNearLimit": _near("pool"),
    "PenstockPoolWait": _waits("pool", 2, "2s"),
    "PenstockPoolTimeouts": _refuses("pool", "timed_out"),
    "PenstockPoolRejects": _counts("pool", "rejected", "5"),
    "PenstockPoolLeaks": _counts("pool", "leaked", "15"),
    "PenstockClientLostConnections": _counts("client", "replaced", "15"),
    "PenstockBreakerOpen": _is("breaker", "state", 0, 1, state="closed"),
    "PenstockRetryStorm": Example(
        (_line("retry", "attempts", _grows(30)), _line("retry", "calls", _grows(10))),
        (_line("retry", "attempts", _grows(11)), _line("retry", "calls", _grows(10))),
        "3.00",
    ),
    "PenstockRetryBudgetSpent": _counts("retry-budget", "refused", "5"),
    "PenstockTasksLeftBehind": _counts("tasks", "left_behind", "15"),
    "PenstockExecutorWait": _waits("executor", 2, "2s", "started"),
    "PenstockLoopLag": _is("loop", "p99", 0.25, 0.01, "250ms"),
    "PenstockLoopStalled": _is("loop", "stalled", 30, 0.01, "30s"),
    "PenstockFlagDrift": _drift(),
    "PenstockFlagOverridden": _is("capability", "overridden", 1, 0),
    "PenstockNoData": _no_data(),
    "PenstockNotSampling": Example(
        (_line("monitor", "samples", _stays(5)),),
        (_line("monitor", "samples", _grows(120)),),
        labels={"job": "agents", "instance": "a:8000"},
    ),
    "PenstockStaleWorker": _is("monitor", "age", 120, 1, "2m 0s"),
    "PenstockUnreadable": _is("monitor", "unreadable", 2, 0, "2"),
}
