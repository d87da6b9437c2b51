"""The rules that hold unless somebody says otherwise."""

from __future__ import annotations

from typing import Final

from penstock_monitoring._alerts.measures import Growth, Latest, Measure, Ratio, Sum, Used, span
from penstock_monitoring._alerts.rule import AlertRule
from penstock_monitoring._registry.catalogue import metric_of
from penstock_monitoring._registry.selector import select

__all__ = ["EXHAUSTED", "default_alerts", "exhaustion"]

EXHAUSTED: Final = "PenstockResourceExhausted"
_QUARTER: Final = 900.0  # seconds
_DAY: Final = 86_400.0


def default_alerts() -> tuple[AlertRule, ...]:
    """Return the rules that a monitor applies unless it is given others, and that `alerts.yml` is written from.

    Returns:
        The rules; pick some of them, or change some with `dataclasses.replace`.
    """
    return (*_limits(), *_rates(), *_pools(), *_calls(), *_work(), *_loops(), *_flags(), *_monitor())


def exhaustion(resource: str, threshold: float) -> AlertRule:
    """Return the rule that so much of a resource is in use, whatever its kind."""
    return AlertRule(
        EXHAUSTED,
        "critical",
        "{value} of {name} is in use.",
        "As much of the resource is in use as somebody said is too much.",
        """
        - See who holds it.
        - Raise the limit, or send less.
        """,
        measure=Used(),
        compare=">=",
        limit=threshold,
        clears=0.9 * threshold,
        quiet=0.0,
        unit="share",
        resource=resource,
    )


def _near_limit(kind: str) -> Measure:
    return Growth(metric_of(kind, "near_limit_seconds"), per_second=True)


def _wait(kind: str, waited: str = "waited") -> Measure:
    """Measure how long those waited who had to; without end where nobody gets through."""
    return Ratio(Growth(metric_of(kind, "wait_seconds")), Growth(metric_of(kind, waited)))


def _refused(kind: str, what: str = "rejected") -> Measure:
    """Measure the share of callers that were refused."""
    refused = Growth(metric_of(kind, what))
    return Ratio(refused, Sum(Growth(metric_of(kind, "acquired")), refused))


def _limits() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "PenstockLimiterNearLimit",
            "warning",
            "The limiter {name} was near its limit for {value} of the last five minutes.",
            """
            The share of the limiter's permits in use was `alert_threshold_percentage` (80 % unless
            configured) or more for most of the time. A little more load, and callers queue.
            """,
            """
            - Look at the wait: if nobody waits, the limit fits and the load has grown; plan for more.
            - If what the limit protects has room (no 429s, latency as ever), raise `max_running`.
            - If it has none, send less: cache, batch, or shed what can wait. See the limiter's hold time:
              calls that take longer use up a limit just as more calls do.
            """,
            measure=_near_limit("limiter"),
            compare=">=",
            limit=0.8,
            clears=0.5,
            pending=60.0,
            unit="share",
        ),
        AlertRule(
            "PenstockLimiterWait",
            "warning",
            "Callers that wait for the limiter {name} wait {value} on average.",
            """
            More is asked of the limiter than it lets through. Where nobody gets through at all, the wait
            has no end.
            """,
            """
            - `penstock_limiter_running` far below the limit: the time is lost in the event loop; look at
              its lag.
            - `running` at the limit: look at what the permits are held for. A call without a timeout holds
              one for ever.
            - One name used for different things, one inside the other: give each its own limit.
            - Otherwise raise `max_running`, or set `max_queued` so that those who would wait too long are
              told.
            """,
            measure=_wait("limiter"),
            limit=5.0,
            clears=2.5,
            pending=300.0,
            unit="seconds",
        ),
        AlertRule(
            "PenstockLimiterRejects",
            "warning",
            "The limiter {name} rejected {value} of its callers.",
            "The queue was full (`max_queued`), or callers would not wait: they got a `QueueFullError`.",
            """
            - See whether what the limit protects is slow: the queue fills up when permits come back late.
            - A burst that is meant: raise `max_queued`.
            - A load that lasts: raise `max_running` if there is room, or let callers try again later with
              jitter.
            """,
            measure=_refused("limiter"),
            limit=0.01,
            pending=60.0,
            unit="share",
        ),
    )


def _rates() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "PenstockRateWait",
            "warning",
            "Callers that wait for the rate {name} wait {value} on average.",
            "More is asked per minute than the provider allows, or the provider has asked for a pause.",
            """
            - `penstock_rate_blocked_seconds` above 0: the provider said how long; wait for it.
            - `penstock_rate_advertised` above `penstock_rate_limit`: you may ask for more than you
              configured.
            - Otherwise ask for less (smaller prompts, a cache, batches), or for a higher quota.
            """,
            measure=_wait("rate"),
            limit=30.0,
            clears=15.0,
            pending=300.0,
            unit="seconds",
        ),
        AlertRule(
            "PenstockRateRejects",
            "warning",
            "The rate {name} rejected {value} of its callers.",
            "The queue was full (`max_queued`), or a request was larger than all that is ever admitted at once.",
            """
            - A `RequestTooLargeError` in the log: split the request, or raise the rate's burst.
            - A `QueueFullError`: as for a limiter, raise `max_queued` or send less.
            """,
            measure=_refused("rate"),
            limit=0.01,
            pending=60.0,
            unit="share",
        ),
    )


def _pools() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "PenstockPoolNearLimit",
            "warning",
            "The pool {name} was near its limit for {value} of the last five minutes.",
            """
            The share of the pool's connections in use was `alert_threshold_percentage` (80 % unless
            configured) or more for most of the time.
            """,
            """
            - See how long connections are in use (`penstock_pool_use_seconds_total` by `acquired`): a
              transaction that spans a call to a provider holds one all the while. Fetch, give back, then
              call.
            - If the database has room, raise `max_size`; all processes together must stay below its
              `max_connections`.
            """,
            measure=_near_limit("pool"),
            compare=">=",
            limit=0.8,
            clears=0.5,
            pending=60.0,
            unit="share",
        ),
        AlertRule(
            "PenstockPoolWait",
            "warning",
            "Callers that wait for a connection of the pool {name} wait {value} on average.",
            "More callers want a connection than there are.",
            """
            - As for a pool near its limit: look at how long connections are in use before you raise
              the size.
            - Slow queries: the database's own view of what runs (`pg_stat_activity`) names them.
            """,
            measure=_wait("pool"),
            limit=1.0,
            clears=0.5,
            pending=120.0,
            unit="seconds",
        ),
        AlertRule(
            "PenstockPoolTimeouts",
            "critical",
            "{value} of the callers of the pool {name} got no connection in time, in five minutes.",
            "They waited until their deadline, and failed.",
            """
            - Is the database there? Connections that are opened (`penstock_pool_opened_total`) and never
              used say no.
            - Borrows that never come back: see the leaks; the log names where they were made.
            - Otherwise the pool is too small for the load, or the load too large for the database.
            """,
            measure=_refused("pool", "timed_out"),
            limit=0.01,
            pending=60.0,
            unit="share",
        ),
        AlertRule(
            "PenstockPoolRejects",
            "warning",
            "The pool {name} rejected {value} callers in five minutes.",
            "The queue was full: as many waited as may (`max_queued`).",
            """
            - As for timeouts; the queue is what keeps a stalled database from filling the memory.
            - Shed load where it comes in, or raise `max_queued` if the burst is meant.
            """,
            measure=Growth(metric_of("pool", "rejected")),
        ),
        AlertRule(
            "PenstockPoolLeaks",
            "warning",
            "{value} connections of the pool {name} were in use for longer than leak_after, in 15 minutes.",
            "Somebody borrowed a connection and did not give it back in the time that a borrow may take.",
            """
            - The log `penstock.pooling` names where each was borrowed.
            - Borrow with `async with`, so that it comes back however the block ends.
            - If the work is meant to take so long, raise `leak_after`, or give it a pool of its own.
            """,
            measure=Growth(metric_of("pool", "leaked"), _QUARTER),
        ),
        AlertRule(
            "PenstockClientLostConnections",
            "warning",
            "The client {name} replaced {value} pools that had lost connections, in 15 minutes.",
            """
            Requests that were cancelled took their connections with them; the client noticed, and opened a
            new pool.
            """,
            """
            - Nothing has failed. Find what cancels so many requests: timeouts that are too short, callers
              that leave.
            - `httpx2` and `aiohttp` do not lose connections this way; the client's library is a setting.
            """,
            measure=Growth(metric_of("client", "replaced"), _QUARTER),
        ),
    )


def _calls() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "PenstockBreakerOpen",
            "critical",
            "The breaker {name} has not been closed for a minute.",
            """
            Calls fail so often that the breaker refuses them, or lets a few through to see. In the modes
            off and observe it refuses nobody, and says that it would.
            """,
            """
            - Look at the service's own status, and at what the failed calls said.
            - `penstock_breaker_slow_call_ratio` high with few failures: the service is slow, not broken.
            - It closes by itself when the trial calls go well. Do not force it: that sends the full load to
              a service that is down.
            """,
            measure=Latest(metric_of("breaker", "state"), "closed"),
            compare="<",
            limit=1.0,
            pending=60.0,
        ),
        AlertRule(
            "PenstockRetryStorm",
            "critical",
            "Calls with the retry {name} take {value} attempts on average.",
            "Retries multiply the load on a service that is failing already.",
            """
            - Put a breaker in front of it, and give the retries a budget.
            - See whether the failures are such that another attempt can mend: a 400 never is.
            - Look for retries within retries: three times three attempts are nine.
            """,
            measure=Ratio(Growth(metric_of("retry", "attempts")), Growth(metric_of("retry", "calls"))),
            limit=2.0,
            clears=1.5,
            pending=120.0,
            unit="ratio",
        ),
        AlertRule(
            "PenstockRetryBudgetSpent",
            "warning",
            "The retry budget {name} refused {value} retries in five minutes.",
            """
            More calls failed than may be tried again. This is the budget at work: it keeps a failing
            service from being buried.
            """,
            """
            - As for an open breaker: look at the service.
            - If it is well, and few calls fail by their nature, raise the budget's ratio.
            """,
            measure=Growth(metric_of("retry-budget", "refused")),
            pending=60.0,
        ),
    )


def _work() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "PenstockTasksLeftBehind",
            "warning",
            "{value} tasks of {name} did not stop when they were cancelled.",
            "They went on: they swallow the cancellation, or wait for a thread.",
            """
            - The log `penstock.tasks` names each, with where it was made and where it stands.
            - Look for `except BaseException` or `except asyncio.CancelledError` without `raise`.
            """,
            measure=Growth(metric_of("tasks", "left_behind"), _QUARTER),
        ),
        AlertRule(
            "PenstockExecutorWait",
            "warning",
            "Calls wait {value} on average for a thread of the executor {name}.",
            "All threads of the executor are busy.",
            """
            - See what the threads do: calls without a timeout never give theirs back.
            - Let sync HTTP become async; it needs no thread.
            - Raise the number of threads if they wait for the network, not if they compute.
            """,
            measure=_wait("executor", "started"),
            limit=1.0,
            clears=0.5,
            pending=120.0,
            unit="seconds",
        ),
    )


def _loops() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "PenstockLoopLag",
            "warning",
            "The lag of the event loop {name} is {value} at p99.",
            "One time in a hundred it is this late: something keeps it busy, and timers, responses and timeouts wait.",
            """
            - `penstock audit --select 5` finds blocking calls in coroutines; `PYTHONASYNCIODEBUG=1` logs
              what takes longer than 100 ms.
            - Move what computes into a process, and what blocks into a thread.
            - The container's CPU limit: a process that is throttled is late through no fault of its own.
            """,
            measure=Latest(metric_of("loop", "p99")),
            limit=0.1,
            clears=0.05,
            pending=300.0,
            unit="seconds",
        ),
        AlertRule(
            "PenstockLoopStalled",
            "critical",
            "The event loop {name} has been blocked for {value}.",
            """
            It has not come round for seconds: nothing that runs in it goes on. The process itself can tell
            only when it is over, unless it has another event loop; Prometheus can tell at once if metrics
            are served by a thread.
            """,
            """
            - `py-spy dump --pid PID` shows where it stands, without stopping it.
            - Most often it is a sync HTTP call, a lock, or a query without a timeout.
            """,
            measure=Latest(metric_of("loop", "stalled")),
            limit=5.0,
            clears=1.0,
            quiet=60.0,
            unit="seconds",
        ),
    )


def _flags() -> tuple[AlertRule, ...]:
    mode, flags = select(metric_of("capability", "mode")), select(metric_of("flags", "source"))
    of_all = "job, environment, capability"
    return (
        AlertRule(
            "PenstockFlagDrift",
            "warning",
            "{capability} is in {value} different modes at once in {job} {environment}.",
            "Processes of one job and one environment do not agree on the mode of a capability.",
            """
            - A canary for a share of the processes is meant to: silence this alert for as long.
            - Otherwise look for processes that do not follow the flags: an old deployment, a variable
              `PENSTOCK_MODE...`, a flag file that does not arrive. The rollout dashboard shows them.
            """,
            query=(
                f"count by ({of_all}) (count by ({of_all}, mode) (({mode} == 1) "
                f"* on (job, instance, worker) group_left (environment) {flags})) > 1"
            ),
            pending=1800.0,
        ),
        AlertRule(
            "PenstockFlagOverridden",
            "warning",
            "A PENSTOCK_MODE variable overrides the flag of {name}.",
            """
            A variable `PENSTOCK_MODE` or `PENSTOCK_MODE_...` goes before the flag, so turning the flag does
            nothing.
            """,
            """
            - It was set to stop something at once? Turn the flag, then remove the variable and restart.
            - Nobody knows of it? Look at the deployment's environment.
            """,
            measure=Latest(metric_of("capability", "overridden")),
            pending=900.0,
        ),
    )


def _monitor() -> tuple[AlertRule, ...]:
    build, samples = select(metric_of("build", "implementation")), select(metric_of("monitor", "samples"))
    lately = f"max_over_time({build}[{span(_DAY)}])"
    return (
        AlertRule(
            "PenstockNoData",
            "critical",
            "No process of {job} exports metrics of penstock.",
            """
            What was scraped in the last day is not scraped any more, or nothing ever was: no other rule can
            fire.
            """,
            """
            - Is it running? Do its targets stand in Prometheus, and are they up?
            - Is the collector registered: `PrometheusCollector(monitor).register()`?
            - If the job was meant to end, this stops by itself a day later; silence it.
            """,
            query=(
                f"(group by (job) ({lately}) unless group by (job) ({build})) "
                f"or (absent({build}) unless on () {lately})"
            ),
            pending=300.0,
        ),
        AlertRule(
            "PenstockNotSampling",
            "warning",
            "A process of {job} is scraped, but its monitor takes no samples.",
            """
            What only samples tell is missing: hold times, the time near limits, the lag of
            event loops.
            """,
            """
            - Enter the monitor in the event loop, `async with ConcurrencyMonitor() as monitor`, and give
              that one to the collector.
            - It was entered? Then its event loop is blocked, or has ended.
            """,
            query=f"increase({samples}[{span(300)}]) == 0",
            pending=300.0,
        ),
        AlertRule(
            "PenstockStaleWorker",
            "warning",
            "The metrics of a worker are {value} old.",
            "One of several processes that are scraped together is alive, and has stopped writing its metrics.",
            """
            - Its event loop is blocked, or the disk of `PROMETHEUS_MULTIPROC_DIR` is full: its log says
              which.
            """,
            measure=Latest(metric_of("monitor", "age")),
            limit=30.0,
            pending=60.0,
            unit="seconds",
        ),
        AlertRule(
            "PenstockUnreadable",
            "warning",
            "The statistics of {value} resources cannot be read.",
            "Their `statistics()` raises: metrics and alerts have at most the counts that were read before.",
            """
            - The log `penstock.monitoring` names the class and the error.
            """,
            measure=Latest(metric_of("monitor", "unreadable")),
            pending=300.0,
        ),
    )
