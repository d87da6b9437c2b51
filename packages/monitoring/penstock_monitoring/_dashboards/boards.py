"""The boards: an overview, one for each package, and one that shows a rollout."""

from __future__ import annotations

from typing import Final

from penstock_monitoring._dashboards.panel import Panel, Query, Row, board, judged, lines, number, row
from penstock_monitoring._dashboards.promql import (
    chosen,
    in_mode,
    increase,
    latest,
    mean,
    near_limit,
    rate,
    rate_by_mode,
    share,
)

__all__ = ["BOARDS"]

_ADAPTIVE: Final = "runtime/adaptive-limit.html#telemetry"
_CONNECT: Final = "runtime/connect.html"
_OBSERVE: Final = "operate/rollout.html#observe-first"
_NEAR: Final = 0.8  # the share of a limit from which on it is nearly used up, unless configured


def _of_breakers() -> str:
    """Return 0 while a breaker is closed, 1 while it is half open, 2 while it is open, in any process."""
    states = (
        f"{level} * {latest('breaker', 'state', state=state)}" for level, state in ((1, "half_open"), (2, "open"))
    )
    return f"max by (name) ({' or '.join(f'({each} > 0)' for each in states)} or 0 * {latest('breaker', 'state')})"


def _of_loops(field: str) -> Query:
    return Query(latest("loop", field, "instance, loop"), "{{instance}} {{loop}}")


def _of_dimensions(field: str) -> Query:
    return Query(latest("rate", f"dimensions.{field}", "name, dimension"), "{{name}} {{dimension}}")


def _near_limit(kind: str, alert: str) -> Panel:
    return judged("Share of time near the limit", alert, near_limit(kind), unit="percentunit")


def _wait(kind: str, alert: str, title: str = "Mean wait, of those who wait") -> Panel:
    return judged(title, alert, mean(kind, "wait_seconds", "waited"), unit="s")


_BREAKERS: Final = lines(
    "Breakers: 0 closed, 1 half open, 2 open", "PenstockBreakerOpen", _of_breakers(), style="states"
)
_ATTEMPTS: Final = "Attempts per call"

OVERVIEW: Final = board(
    "overview",
    "overview",
    "What is amiss, what is nearly used up, and what waits.",
    row(
        "Now",
        number(
            "Alerts firing, of Prometheus",
            'count(ALERTS{alertname=~"Penstock.+",alertstate="firing",job=~"$job|"})',
            "operate/alerts.html#what-fires-when",
        ),
        number(
            "Alerts active, in processes",
            f"count({chosen('alert', 'active')} == 1)",
            "operate/alerts.html#in-the-process",
        ),
        number("Callers waiting for a limiter", f"sum({chosen('limiter', 'queued')})", "PenstockLimiterWait"),
        number("Callers waiting for a connection", f"sum({chosen('pool', 'queued')})", "PenstockPoolWait"),
        number(
            "Breakers not closed", f"count({chosen('breaker', 'state', state='closed')} == 0)", "PenstockBreakerOpen"
        ),
        number("Highest event-loop lag, p99", f"max({chosen('loop', 'p99')})", "PenstockLoopLag", limit=0.1, unit="s"),
    ),
    row(
        "Utilisation",
        lines(
            "Limiters in use, fullest process",
            "PenstockLimiterNearLimit",
            share("limiter", "running", "max_running"),
            unit="percentunit",
            limit=_NEAR,
        ),
        lines(
            "Pools in use, fullest process",
            "PenstockPoolNearLimit",
            share("pool", "running", "max_running"),
            unit="percentunit",
            limit=_NEAR,
        ),
        judged("Event-loop lag, p99", "PenstockLoopLag", _of_loops("p99"), unit="s"),
    ),
    row(
        "Waiting and failing",
        _wait("limiter", "PenstockLimiterWait", "Mean wait for a limiter, of those who wait"),
        lines(
            "Callers rejected",
            "PenstockLimiterRejects",
            Query(rate("limiter", "rejected"), "limiter {{name}}"),
            Query(rate("rate", "rejected"), "rate {{name}}"),
            Query(rate("pool", "rejected"), "pool {{name}}"),
            unit="reqps",
        ),
        _BREAKERS,
    ),
    row(
        "Processes",
        lines(
            "Processes by version",
            "PenstockNoData",
            Query(
                f"count by (version, python) ({chosen('build', 'implementation')})", "{{version}}, Python {{python}}"
            ),
        ),
        lines(
            "Samples per second", "PenstockNotSampling", Query(rate("monitor", "samples", "instance"), "{{instance}}")
        ),
        lines(
            "Resources that cannot be read",
            "PenstockUnreadable",
            Query(latest("monitor", "unreadable", "instance"), "{{instance}}"),
            limit=1.0,
        ),
    ),
)

LIMITS: Final = board(
    "limits",
    "limits",
    "Limiters, adaptive limits, rates, breakers, retries.",
    row(
        "Limiters",
        lines(
            "Permits in use, and the limit",
            "PenstockLimiterNearLimit",
            latest("limiter", "running"),
            Query(latest("limiter", "max_running"), "{{name}}: limit"),
        ),
        _near_limit("limiter", "PenstockLimiterNearLimit"),
        lines("Callers waiting", "PenstockLimiterWait", latest("limiter", "queued")),
        _wait("limiter", "PenstockLimiterWait"),
        lines(
            "Mean time a permit is held", "PenstockLimiterWait", mean("limiter", "hold_seconds", "acquired"), unit="s"
        ),
        lines(
            "Callers rejected, and timed out",
            "PenstockLimiterRejects",
            Query(rate("limiter", "rejected"), "{{name}}: rejected"),
            Query(rate("limiter", "timed_out"), "{{name}}: timed out"),
            unit="reqps",
        ),
    ),
    row(
        "Adaptive limits",
        lines(
            "Limit, and what the algorithm says",
            _ADAPTIVE,
            latest("adaptive-limit", "max_running"),
            Query(latest("adaptive-limit", "would_be"), "{{name}}: the algorithm"),
        ),
        lines(
            "Latency, and without a queue",
            _ADAPTIVE,
            latest("adaptive-limit", "latency"),
            Query(latest("adaptive-limit", "base"), "{{name}}: without a queue"),
            unit="s",
        ),
        lines("Calls for which the service was too busy", _ADAPTIVE, rate("adaptive-limit", "dropped"), unit="reqps"),
    ),
    row(
        "Rates",
        lines("Available now", "PenstockRateWait", _of_dimensions("available")),
        _wait("rate", "PenstockRateWait"),
        lines("Pause that the provider has asked for", "PenstockRateWait", latest("rate", "blocked"), unit="s"),
        lines(
            "Used per second",
            "PenstockRateWait",
            Query(rate("rate", "dimensions.used", "name, dimension"), "{{name}} {{dimension}}"),
        ),
        lines("Remaining, as the provider says", "PenstockRateWait", _of_dimensions("remaining")),
        lines("Callers rejected", "PenstockRateRejects", rate("rate", "rejected"), unit="reqps"),
    ),
    row(
        "Breakers and retries",
        _BREAKERS,
        lines(
            "Share of calls that failed, and that were slow",
            "PenstockBreakerOpen",
            Query(latest("breaker", "failure_rate"), "{{name}}: failed"),
            Query(latest("breaker", "slow_call_rate"), "{{name}}: slow"),
            unit="percentunit",
        ),
        lines("Calls rejected by breakers", "PenstockBreakerOpen", rate("breaker", "rejected"), unit="reqps"),
        judged(_ATTEMPTS, "PenstockRetryStorm", mean("retry", "attempts", "calls")),
        lines("Retries left in the budget", "PenstockRetryBudgetSpent", latest("retry-budget", "balance")),
        lines(
            "Retries refused by the budget", "PenstockRetryBudgetSpent", rate("retry-budget", "refused"), unit="reqps"
        ),
    ),
)

POOLING: Final = board(
    "pooling",
    "pools and clients",
    "Database pools, HTTP clients, and what connect() does.",
    row(
        "Pools",
        lines(
            "Connections",
            "PenstockPoolNearLimit",
            Query(latest("pool", "running"), "{{name}}: used"),
            Query(latest("pool", "idle"), "{{name}}: idle"),
            Query(latest("pool", "max_running"), "{{name}}: limit"),
        ),
        _near_limit("pool", "PenstockPoolNearLimit"),
        lines("Callers waiting", "PenstockPoolWait", latest("pool", "queued")),
        _wait("pool", "PenstockPoolWait"),
        lines(
            "Mean time a connection is in use",
            "PenstockPoolNearLimit",
            mean("pool", "hold_seconds", "acquired"),
            unit="s",
        ),
        lines(
            "Callers timed out, and rejected",
            "PenstockPoolTimeouts",
            Query(rate("pool", "timed_out"), "{{name}}: timed out"),
            Query(rate("pool", "rejected"), "{{name}}: rejected"),
            unit="reqps",
        ),
        lines("Leaks", "PenstockPoolLeaks", increase("pool", "leaked"), limit=1.0),
        lines(
            "Connections opened, expired, discarded",
            "PenstockPoolTimeouts",
            Query(rate("pool", "opened"), "{{name}}: opened"),
            Query(rate("pool", "expired"), "{{name}}: expired"),
            Query(rate("pool", "discarded"), "{{name}}: discarded"),
            unit="ops",
        ),
        lines(
            "Borrowed by a task that has one already",
            "PenstockPoolNearLimit",
            Query(rate("pool", "nested"), "{{name}}: lent"),
            Query(rate("pool", "deadlocked"), "{{name}}: refused, as a deadlock"),
            unit="ops",
        ),
    ),
    row(
        "HTTP clients",
        lines("Requests", "PenstockClientLostConnections", rate("client", "requests"), unit="reqps"),
        lines(
            "Requests active, and pending",
            "PenstockClientLostConnections",
            Query(latest("client", "running"), "{{name}}: active"),
            Query(latest("client", "queued"), "{{name}}: pending"),
        ),
        lines(
            "Connections opened, pools replaced",
            "PenstockClientLostConnections",
            Query(rate("client", "connections"), "{{name}}: opened"),
            Query(rate("client", "replaced"), "{{name}}: replaced"),
            unit="ops",
        ),
    ),
    row(
        "connect()",
        lines(
            "Calls by outcome",
            _CONNECT,
            *(
                Query(rate("connect", outcome, "outcome"), "{{outcome}}")
                for outcome in ("pooled", "unpooled", "observed", "off")
            ),
            unit="ops",
        ),
        lines(
            "Connections that came back unclean",
            _CONNECT,
            Query(rate("connect", "cleaned"), "made fresh"),
            Query(rate("connect", "discarded"), "closed"),
            unit="ops",
        ),
        lines("Forgotten without being closed", "PenstockPoolLeaks", increase("connect", "dropped"), limit=1.0),
    ),
)

TASKS: Final = board(
    "tasks",
    "tasks and threads",
    "Tasks, services, threads, executors, event loops.",
    row(
        "Tasks",
        lines("Tasks alive", "PenstockTasksLeftBehind", latest("tasks", "running")),
        lines(
            "Tasks finished, by outcome",
            "PenstockTasksLeftBehind",
            *(
                Query(rate("tasks", outcome, "name, outcome"), "{{name}}: {{outcome}}")
                for outcome in ("succeeded", "failed", "cancelled")
            ),
            unit="ops",
        ),
        lines("Left behind", "PenstockTasksLeftBehind", increase("tasks", "left_behind"), limit=1.0),
        lines("Restarts of services", "PenstockTasksLeftBehind", increase("tasks", "restarts")),
    ),
    row(
        "Threads",
        lines(
            "Threads alive",
            "PenstockExecutorWait",
            Query(latest("threads", "alive", "instance"), "{{instance}}: owned"),
            Query(latest("threads", "unowned_daemons", "instance"), "{{instance}}: unmanaged"),
            Query(latest("monitor", "threads", "instance"), "{{instance}}: all"),
        ),
        lines(
            "Executors: calls active, and waiting",
            "PenstockExecutorWait",
            Query(latest("executor", "running"), "{{name}}: active"),
            Query(latest("executor", "queued"), "{{name}}: waiting"),
            Query(latest("executor", "max_running"), "{{name}}: threads"),
        ),
        judged(
            "Executors: mean wait for a thread",
            "PenstockExecutorWait",
            mean("executor", "wait_seconds", "started"),
            unit="s",
        ),
    ),
    row(
        "Event loops",
        judged("Lag, p99", "PenstockLoopLag", _of_loops("p99"), unit="s"),
        lines("Lag, maximum", "PenstockLoopLag", _of_loops("max"), unit="s"),
        judged("Blocked now, for", "PenstockLoopStalled", _of_loops("stalled"), unit="s"),
    ),
)


def _of_modes(title: str, kind: str, taken: str, alert: str) -> Row:
    """Return a row of what a kind of resource does in each mode, side by side."""
    return row(
        f"{title}: off, observe, enforce",
        lines(f"off: {taken}", _OBSERVE, in_mode(kind, "acquired", "off"), unit="ops"),
        lines(
            "observe: would wait, would be rejected",
            _OBSERVE,
            Query(in_mode(kind, "would_wait", "observe"), "{{name}}: would wait"),
            Query(in_mode(kind, "would_reject", "observe"), "{{name}}: would be rejected"),
            unit="ops",
        ),
        lines(
            "enforce: waited, rejected",
            alert,
            Query(in_mode(kind, "waited", "enforce"), "{{name}}: waited"),
            Query(in_mode(kind, "rejected", "enforce"), "{{name}}: rejected"),
            unit="ops",
        ),
    )


ROLLOUT: Final = board(
    "rollout",
    "rollout",
    "Which capability is in which mode, and what off, observe and enforce do, side by side.",
    row(
        "Modes",
        lines(
            "Processes by mode of each capability",
            "PenstockFlagDrift",
            Query(f"count by (capability, mode) ({chosen('capability', 'mode')} == 1)", "{{capability}} {{mode}}"),
        ),
        lines(
            "Capabilities whose flag the environment overrides",
            "PenstockFlagOverridden",
            Query(latest("capability", "overridden", "capability"), "{{capability}}"),
            limit=1.0,
        ),
        lines(
            "Processes by environment, and source of modes",
            "PenstockFlagDrift",
            Query(f"count by (environment, source) ({chosen('flags', 'source')})", "{{environment}}: {{source}}"),
        ),
    ),
    _of_modes("Limiters", "limiter", "permits acquired", "PenstockLimiterRejects"),
    _of_modes("Pools", "pool", "connections acquired", "PenstockPoolRejects"),
    row(
        "The modes compared",
        lines(
            "Permits acquired",
            "operate/rollout.html#step-by-step",
            Query(rate_by_mode("limiter", "acquired"), "{{mode}}"),
            unit="ops",
        ),
        lines(
            "Calls that failed",
            "operate/rollout.html#back",
            Query(rate_by_mode("breaker", "failed"), "{{mode}}"),
            unit="ops",
        ),
        judged(
            _ATTEMPTS,
            "PenstockRetryStorm",
            Query(f"{rate_by_mode('retry', 'attempts')} / ({rate_by_mode('retry', 'calls')} > 0)", "{{mode}}"),
        ),
    ),
)

BOARDS: Final = (OVERVIEW, LIMITS, POOLING, TASKS, ROLLOUT)
