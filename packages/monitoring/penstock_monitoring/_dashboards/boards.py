"""The boards: an overview, one for each package, and one that shows a rollout."""

from __future__ import annotations

from typing import Final

from penstock_monitoring._dashboards.panel import (
    Board,
    Panel,
    Query,
    Row,
    Style,
    chosen,
    increase,
    latest,
    mean,
    playbook,
    rate,
    share,
)

__all__ = ["BOARDS"]

_ROLLOUT: Final = "operate/rollout.html"
_PROCESS: Final = "(job, instance, worker, name)"


def _number(title: str, expression: str, where: str, *, limit: float | None = 1.0, unit: str = "short") -> Panel:
    return Panel(title, (Query(f"{expression} or vector(0)", title),), where, unit, "number", limit, width=4)


def _lines(
    title: str, where: str, *queries: Query, unit: str = "short", limit: float | None = None, style: Style = "lines"
) -> Panel:
    return Panel(title, queries, where, unit, style, limit)


def _of_breakers() -> str:
    """Return 0 while a breaker is closed, 1 while it is half open, 2 while it is open, in any process."""
    states = (
        f"{number} * {latest('breaker', 'state', state=state)}" for number, state in ((1, "half_open"), (2, "open"))
    )
    return f"max by (name) ({' or '.join(f'({each} > 0)' for each in states)} or 0 * {latest('breaker', 'state')})"


def _by_mode(kind: str, field: str) -> str:
    """Return how fast a counter grows, of the resources in each mode."""
    info = f"topk by {_PROCESS} (1, {chosen(kind, 'mode')})"
    counted = chosen(kind, field)
    return f"sum by (mode) (rate({counted}[$__rate_interval]) * on {_PROCESS} group_left (mode) {info})"


def _in_mode(kind: str, field: str, mode: str) -> str:
    """Return how fast a counter grows, of each resource that is in a mode."""
    info = f"topk by {_PROCESS} (1, {chosen(kind, 'mode', mode=mode)})"
    return f"sum by (name) (rate({chosen(kind, field)}[$__rate_interval]) and on {_PROCESS} {info})"


OVERVIEW = Board(
    "overview",
    "Penstock: overview",
    "What is amiss, what is nearly used up, and what waits.",
    (
        Row(
            "Now",
            (
                _number(
                    "Alerts of Prometheus",
                    'count(ALERTS{alertname=~"Penstock.+",alertstate="firing",job=~"$job|"})',
                    "operate/alerts.html#what-fires-when",
                ),
                _number(
                    "Alerts of processes",
                    f"count({chosen('alert', 'active')} == 1)",
                    "operate/alerts.html#in-the-process",
                ),
                _number(
                    "Callers that wait for a limit",
                    f"sum({chosen('limiter', 'queued')})",
                    playbook("PenstockLimiterWait"),
                ),
                _number(
                    "Callers that wait for a connection",
                    f"sum({chosen('pool', 'queued')})",
                    playbook("PenstockPoolWait"),
                ),
                _number(
                    "Breakers that are not closed",
                    f"count({chosen('breaker', 'state', state='closed')} == 0)",
                    playbook("PenstockBreakerOpen"),
                ),
                _number(
                    "Latest event loop",
                    f"max({chosen('loop', 'p99')})",
                    playbook("PenstockLoopLag"),
                    limit=0.1,
                    unit="s",
                ),
            ),
        ),
        Row(
            "Used up",
            (
                _lines(
                    "Share of limits in use",
                    playbook("PenstockLimiterNearLimit"),
                    Query(share("limiter", "running", "max_running")),
                    unit="percentunit",
                    limit=0.8,
                ),
                _lines(
                    "Share of pools in use",
                    playbook("PenstockPoolNearLimit"),
                    Query(share("pool", "running", "max_running")),
                    unit="percentunit",
                    limit=0.8,
                ),
                _lines(
                    "Event loops: 99 of 100 times not later than",
                    playbook("PenstockLoopLag"),
                    Query(latest("loop", "p99", "instance, loop"), "{{instance}} {{loop}}"),
                    unit="s",
                    limit=0.1,
                ),
            ),
        ),
        Row(
            "Waiting and failing",
            (
                _lines(
                    "Wait for limits, of those who wait",
                    playbook("PenstockLimiterWait"),
                    Query(mean("limiter", "wait_seconds", "waited")),
                    unit="s",
                ),
                _lines(
                    "Callers refused",
                    playbook("PenstockLimiterRejects"),
                    Query(rate("limiter", "rejected"), "limiter {{name}}"),
                    Query(rate("rate", "rejected"), "rate {{name}}"),
                    Query(rate("pool", "rejected"), "pool {{name}}"),
                    unit="reqps",
                ),
                _lines(
                    "Breakers: 0 closed, 1 half open, 2 open",
                    playbook("PenstockBreakerOpen"),
                    Query(_of_breakers()),
                    style="states",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                _lines(
                    "Processes by version",
                    playbook("PenstockNoData"),
                    Query(
                        f"count by (version, python) ({chosen('build', 'implementation')})", "{{version}}, {{python}}"
                    ),
                ),
                _lines(
                    "Samples a second",
                    playbook("PenstockNotSampling"),
                    Query(rate("monitor", "samples", "instance"), "{{instance}}"),
                ),
                _lines(
                    "Resources that cannot be read",
                    playbook("PenstockUnreadable"),
                    Query(latest("monitor", "unreadable", "instance"), "{{instance}}"),
                    limit=1.0,
                ),
            ),
        ),
    ),
)

LIMITS = Board(
    "limits",
    "Penstock: limits",
    "Limiters, adaptive limits, rates, breakers, retries.",
    (
        Row(
            "Limiters",
            (
                _lines(
                    "Permits out, and the limit",
                    playbook("PenstockLimiterNearLimit"),
                    Query(latest("limiter", "running")),
                    Query(latest("limiter", "max_running"), "{{name}}: limit"),
                ),
                _lines(
                    "Share of the time nearly used up",
                    playbook("PenstockLimiterNearLimit"),
                    Query(f"max by (name) (rate({chosen('limiter', 'near_limit_seconds')}[$__rate_interval]))"),
                    unit="percentunit",
                    limit=0.8,
                ),
                _lines("Callers that wait", playbook("PenstockLimiterWait"), Query(latest("limiter", "queued"))),
                _lines(
                    "Wait, of those who wait",
                    playbook("PenstockLimiterWait"),
                    Query(mean("limiter", "wait_seconds", "waited")),
                    unit="s",
                    limit=5.0,
                ),
                _lines(
                    "How long permits are held",
                    playbook("PenstockLimiterWait"),
                    Query(mean("limiter", "hold_seconds", "acquired")),
                    unit="s",
                ),
                _lines(
                    "Refused, and given up",
                    playbook("PenstockLimiterRejects"),
                    Query(rate("limiter", "rejected"), "{{name}}: refused"),
                    Query(rate("limiter", "timed_out"), "{{name}}: given up"),
                    unit="reqps",
                ),
            ),
        ),
        Row(
            "Adaptive limits",
            (
                _lines(
                    "Limit, and what it would be",
                    "runtime/adaptive-limit.html#telemetry",
                    Query(latest("adaptive-limit", "max_running")),
                    Query(latest("adaptive-limit", "would_be"), "{{name}}: would be"),
                ),
                _lines(
                    "Latency, and without a queue",
                    "runtime/adaptive-limit.html#telemetry",
                    Query(latest("adaptive-limit", "latency")),
                    Query(latest("adaptive-limit", "base"), "{{name}}: without a queue"),
                    unit="s",
                ),
                _lines(
                    "Calls for which the service was too busy",
                    "runtime/adaptive-limit.html#telemetry",
                    Query(rate("adaptive-limit", "dropped")),
                    unit="reqps",
                ),
            ),
        ),
        Row(
            "Rates",
            (
                _lines(
                    "Available now",
                    playbook("PenstockRateWait"),
                    Query(latest("rate", "dimensions.available", "name, dimension"), "{{name}} {{dimension}}"),
                ),
                _lines(
                    "Wait, of those who wait",
                    playbook("PenstockRateWait"),
                    Query(mean("rate", "wait_seconds", "waited")),
                    unit="s",
                    limit=30.0,
                ),
                _lines(
                    "Pause that the provider has asked for",
                    playbook("PenstockRateWait"),
                    Query(latest("rate", "blocked")),
                    unit="s",
                ),
                _lines(
                    "Used a second",
                    playbook("PenstockRateWait"),
                    Query(rate("rate", "dimensions.used", "name, dimension"), "{{name}} {{dimension}}"),
                ),
                _lines(
                    "Still allowed, as the provider says",
                    playbook("PenstockRateWait"),
                    Query(latest("rate", "dimensions.remaining", "name, dimension"), "{{name}} {{dimension}}"),
                ),
                _lines("Refused", playbook("PenstockRateRejects"), Query(rate("rate", "rejected")), unit="reqps"),
            ),
        ),
        Row(
            "Breakers and retries",
            (
                _lines(
                    "Breakers: 0 closed, 1 half open, 2 open",
                    playbook("PenstockBreakerOpen"),
                    Query(_of_breakers()),
                    style="states",
                ),
                _lines(
                    "Failing, and slow",
                    playbook("PenstockBreakerOpen"),
                    Query(latest("breaker", "failure_rate"), "{{name}}: failing"),
                    Query(latest("breaker", "slow_call_rate"), "{{name}}: slow"),
                    unit="percentunit",
                ),
                _lines(
                    "Refused by breakers",
                    playbook("PenstockBreakerOpen"),
                    Query(rate("breaker", "rejected")),
                    unit="reqps",
                ),
                _lines(
                    "Attempts of each call",
                    playbook("PenstockRetryStorm"),
                    Query(mean("retry", "attempts", "calls")),
                    limit=2.0,
                ),
                _lines(
                    "Retries left in the budget",
                    playbook("PenstockRetryBudgetSpent"),
                    Query(latest("retry-budget", "balance")),
                ),
                _lines(
                    "Retries refused",
                    playbook("PenstockRetryBudgetSpent"),
                    Query(rate("retry-budget", "refused")),
                    unit="reqps",
                ),
            ),
        ),
    ),
)

POOLING = Board(
    "pooling",
    "Penstock: pools and clients",
    "Database pools, HTTP clients, and what connect() does.",
    (
        Row(
            "Pools",
            (
                _lines(
                    "Connections",
                    playbook("PenstockPoolNearLimit"),
                    Query(latest("pool", "running"), "{{name}}: used"),
                    Query(latest("pool", "idle"), "{{name}}: idle"),
                    Query(latest("pool", "max_running"), "{{name}}: limit"),
                ),
                _lines(
                    "Share of the time nearly used up",
                    playbook("PenstockPoolNearLimit"),
                    Query(f"max by (name) (rate({chosen('pool', 'near_limit_seconds')}[$__rate_interval]))"),
                    unit="percentunit",
                    limit=0.8,
                ),
                _lines("Callers that wait", playbook("PenstockPoolWait"), Query(latest("pool", "queued"))),
                _lines(
                    "Wait, of those who wait",
                    playbook("PenstockPoolWait"),
                    Query(mean("pool", "wait_seconds", "waited")),
                    unit="s",
                    limit=1.0,
                ),
                _lines(
                    "How long connections are out",
                    playbook("PenstockPoolNearLimit"),
                    Query(mean("pool", "hold_seconds", "acquired")),
                    unit="s",
                ),
                _lines(
                    "Given up, and refused",
                    playbook("PenstockPoolTimeouts"),
                    Query(rate("pool", "timed_out"), "{{name}}: given up"),
                    Query(rate("pool", "rejected"), "{{name}}: refused"),
                    unit="reqps",
                ),
                _lines("Leaks", playbook("PenstockPoolLeaks"), Query(increase("pool", "leaked")), limit=1.0),
                _lines(
                    "Opened, aged, discarded",
                    playbook("PenstockPoolTimeouts"),
                    Query(rate("pool", "opened"), "{{name}}: opened"),
                    Query(rate("pool", "expired"), "{{name}}: aged"),
                    Query(rate("pool", "discarded"), "{{name}}: discarded"),
                    unit="ops",
                ),
                _lines(
                    "Lent to a task that had one",
                    playbook("PenstockPoolNearLimit"),
                    Query(rate("pool", "nested"), "{{name}}: nested"),
                    Query(rate("pool", "deadlocked"), "{{name}}: refused"),
                    unit="ops",
                ),
            ),
        ),
        Row(
            "HTTP clients",
            (
                _lines(
                    "Requests",
                    playbook("PenstockClientLostConnections"),
                    Query(rate("client", "requests")),
                    unit="reqps",
                ),
                _lines(
                    "Under way, and waiting",
                    playbook("PenstockClientLostConnections"),
                    Query(latest("client", "running"), "{{name}}: under way"),
                    Query(latest("client", "queued"), "{{name}}: waiting"),
                ),
                _lines(
                    "Connections opened, pools replaced",
                    playbook("PenstockClientLostConnections"),
                    Query(rate("client", "connections"), "{{name}}: opened"),
                    Query(rate("client", "replaced"), "{{name}}: replaced"),
                    unit="ops",
                ),
            ),
        ),
        Row(
            "connect()",
            (
                _lines(
                    "Calls by what became of them",
                    "runtime/connect.html",
                    Query(rate("connect", "pooled", "outcome"), "{{outcome}}"),
                    Query(rate("connect", "unpooled", "outcome"), "{{outcome}}"),
                    Query(rate("connect", "observed", "outcome"), "{{outcome}}"),
                    Query(rate("connect", "off", "outcome"), "{{outcome}}"),
                    unit="ops",
                ),
                _lines(
                    "Came back unclean",
                    "runtime/connect.html",
                    Query(rate("connect", "cleaned"), "made fresh"),
                    Query(rate("connect", "discarded"), "closed"),
                    unit="ops",
                ),
                _lines(
                    "Forgotten without being closed",
                    playbook("PenstockPoolLeaks"),
                    Query(increase("connect", "dropped"), "{{name}}"),
                    limit=1.0,
                ),
            ),
        ),
    ),
)

TASKS = Board(
    "tasks",
    "Penstock: tasks and threads",
    "Tasks, services, threads, executors, event loops.",
    (
        Row(
            "Tasks",
            (
                _lines(
                    "Alive",
                    playbook("PenstockTasksLeftBehind"),
                    Query(latest("tasks", "running"), "{{name}}: alive"),
                ),
                _lines(
                    "Ended, by how",
                    playbook("PenstockTasksLeftBehind"),
                    *(
                        Query(rate("tasks", outcome, "name, outcome"), "{{name}}: {{outcome}}")
                        for outcome in ("succeeded", "failed", "cancelled")
                    ),
                    unit="ops",
                ),
                _lines(
                    "Left behind",
                    playbook("PenstockTasksLeftBehind"),
                    Query(increase("tasks", "left_behind")),
                    limit=1.0,
                ),
                _lines(
                    "Restarts of services",
                    playbook("PenstockTasksLeftBehind"),
                    Query(increase("tasks", "restarts")),
                ),
            ),
        ),
        Row(
            "Threads",
            (
                _lines(
                    "Threads",
                    playbook("PenstockThreadsLeftBehind"),
                    Query(latest("threads", "alive", "instance"), "{{instance}}: owned"),
                    Query(latest("threads", "unowned_daemons", "instance"), "{{instance}}: unmanaged"),
                    Query(latest("monitor", "threads", "instance"), "{{instance}}: all"),
                ),
                _lines(
                    "Left behind",
                    playbook("PenstockThreadsLeftBehind"),
                    Query(increase("threads", "left_behind", "instance"), "{{instance}}"),
                    limit=1.0,
                ),
                _lines(
                    "Executors: calls under way, and waiting",
                    playbook("PenstockExecutorWait"),
                    Query(latest("executor", "running"), "{{name}}: under way"),
                    Query(latest("executor", "queued"), "{{name}}: waiting"),
                    Query(latest("executor", "max_running"), "{{name}}: threads"),
                ),
                _lines(
                    "Executors: wait for a thread",
                    playbook("PenstockExecutorWait"),
                    Query(mean("executor", "wait_seconds", "started")),
                    unit="s",
                    limit=1.0,
                ),
            ),
        ),
        Row(
            "Event loops",
            (
                _lines(
                    "99 of 100 times not later than",
                    playbook("PenstockLoopLag"),
                    Query(latest("loop", "p99", "instance, loop"), "{{instance}} {{loop}}"),
                    unit="s",
                    limit=0.1,
                ),
                _lines(
                    "The worst",
                    playbook("PenstockLoopLag"),
                    Query(latest("loop", "max", "instance, loop"), "{{instance}} {{loop}}"),
                    unit="s",
                ),
                _lines(
                    "Blocked at this moment, for",
                    playbook("PenstockLoopStalled"),
                    Query(latest("loop", "stalled", "instance, loop"), "{{instance}} {{loop}}"),
                    unit="s",
                    limit=5.0,
                ),
            ),
        ),
    ),
)

ROLLOUT = Board(
    "rollout",
    "Penstock: rollout",
    "Which capability is in which mode, and what off, observe and enforce do, side by side.",
    (
        Row(
            "Modes",
            (
                _lines(
                    "Processes by mode of each capability",
                    playbook("PenstockFlagDrift"),
                    Query(
                        f"count by (capability, mode) ({chosen('capability', 'mode')} == 1)", "{{capability}} {{mode}}"
                    ),
                ),
                _lines(
                    "The environment overrides the flag of",
                    playbook("PenstockFlagOverridden"),
                    Query(latest("capability", "overridden", "capability"), "{{capability}}"),
                    limit=1.0,
                ),
                _lines(
                    "Processes by environment, and where modes come from",
                    playbook("PenstockFlagDrift"),
                    Query(
                        f"count by (environment, source) ({chosen('flags', 'source')})", "{{environment}}: {{source}}"
                    ),
                ),
            ),
        ),
        Row(
            "Limits: off, observe, enforce",
            (
                _lines(
                    "off: permits taken",
                    f"{_ROLLOUT}#observe-first",
                    Query(_in_mode("limiter", "acquired", "off")),
                    unit="ops",
                ),
                _lines(
                    "observe: would wait, would be refused",
                    f"{_ROLLOUT}#observe-first",
                    Query(_in_mode("limiter", "would_wait", "observe"), "{{name}}: would wait"),
                    Query(_in_mode("limiter", "would_reject", "observe"), "{{name}}: would be refused"),
                    unit="ops",
                ),
                _lines(
                    "enforce: waited, refused",
                    playbook("PenstockLimiterRejects"),
                    Query(_in_mode("limiter", "waited", "enforce"), "{{name}}: waited"),
                    Query(_in_mode("limiter", "rejected", "enforce"), "{{name}}: refused"),
                    unit="ops",
                ),
            ),
        ),
        Row(
            "Pools: off, observe, enforce",
            (
                _lines(
                    "off: connections lent",
                    f"{_ROLLOUT}#observe-first",
                    Query(_in_mode("pool", "acquired", "off")),
                    unit="ops",
                ),
                _lines(
                    "observe: would wait, would be refused",
                    f"{_ROLLOUT}#observe-first",
                    Query(_in_mode("pool", "would_wait", "observe"), "{{name}}: would wait"),
                    Query(_in_mode("pool", "would_reject", "observe"), "{{name}}: would be refused"),
                    unit="ops",
                ),
                _lines(
                    "enforce: waited, refused",
                    playbook("PenstockPoolRejects"),
                    Query(_in_mode("pool", "waited", "enforce"), "{{name}}: waited"),
                    Query(_in_mode("pool", "rejected", "enforce"), "{{name}}: refused"),
                    unit="ops",
                ),
            ),
        ),
        Row(
            "The modes compared",
            (
                _lines(
                    "Permits taken",
                    f"{_ROLLOUT}#step-by-step",
                    Query(_by_mode("limiter", "acquired"), "{{mode}}"),
                    unit="ops",
                ),
                _lines(
                    "Calls that failed",
                    f"{_ROLLOUT}#back",
                    Query(_by_mode("breaker", "failed"), "{{mode}}"),
                    unit="ops",
                ),
                _lines(
                    "Attempts of each call",
                    playbook("PenstockRetryStorm"),
                    Query(f"{_by_mode('retry', 'attempts')} / ({_by_mode('retry', 'calls')} > 0)", "{{mode}}"),
                ),
            ),
        ),
    ),
)

BOARDS: Final = (OVERVIEW, LIMITS, POOLING, TASKS, ROLLOUT)
