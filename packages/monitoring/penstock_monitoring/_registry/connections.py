"""Pools, HTTP clients and the drop-in `connect()`, in the words of HikariCP and OpenTelemetry."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["CLIENT", "CONNECT", "POOL"]

_pool = Kind("pool", "penstock_pool")
_OPEN = "Connections that are open, by whether somebody uses them."

POOL = (
    _pool.gauge("connections", _OPEN, "running", "connections", fixed=(("state", "used"),)),
    _pool.gauge("connections", _OPEN, "idle", "connections", fixed=(("state", "idle"),)),
    _pool.gauge("max_connections", "Connections that may be open.", "max_running", "connections"),
    _pool.gauge("min_connections", "Connections that are kept open.", "min_size", "connections"),
    _pool.gauge("peak_connections", "The most that were ever used.", "peak_running", "connections", merge="max"),
    _pool.gauge("pending", "Callers that wait for a connection.", "queued"),
    _pool.gauge("pending_limit", "Callers that may wait; absent where any number may.", "max_queued"),
    _pool.counter("acquired", "Connections lent."),
    _pool.counter("waited", "Connections that were waited for."),
    _pool.counter("rejected", "Callers refused because the queue was full."),
    _pool.counter("timeouts", "Callers that waited as long as they would.", "timed_out"),
    _pool.counter("deadlocks", "Callers refused, as they would have waited for themselves.", "deadlocked"),
    _pool.counter("nested", "Connections lent to a task that had one."),
    _pool.counter("opened", "Connections opened."),
    _pool.counter("expired", "Connections replaced because of their age."),
    _pool.counter("discarded", "Connections closed, as what was done in their session could not be undone."),
    _pool.counter("leaks", "Borrows that took longer than leak_after.", "leaked"),
    _pool.counter("abandoned", "Connections that were still out when the pool was closed."),
    _pool.seconds("wait", "How long callers waited, all together."),
    _pool.longest("wait_longest", "How long the most patient of them waited.", "longest_wait"),
    _pool.seconds("use", "How long connections were out, all together.", "hold_seconds"),
    _pool.longest("use_longest", "How long one was out at most.", "longest_hold"),
    _pool.seconds("saturated", "How long anybody waited; from samples.", source="sampled"),
    _pool.seconds(
        "near_limit", "How long the share in use was the alert threshold or more; from samples.", source="sampled"
    ),
    _pool.counter("would_wait", "Connections that would have been waited for, in mode observe."),
    _pool.counter("would_reject", "Callers that would have been refused, in mode observe."),
    _pool.counter("would_reuse", "Connections opened in mode observe where a pool would have had one open."),
    _pool.info("The mode that the pool is in.", "mode"),
)

_client = Kind("client", "penstock_client")

CLIENT = (
    _client.gauge("borrowers", "Borrowers that have the client.", "lent"),
    _client.counter("borrowed", "How often it was lent."),
    _client.counter("opened", "Clients opened."),
    _client.counter("requests", "Requests sent."),
    _client.counter("connections_opened", "Connections opened.", "connections"),
    _client.gauge("active_requests", "Requests under way on shared clients.", "running"),
    _client.gauge("pending", "Requests that wait for a connection.", "queued"),
    _client.gauge("max_connections", "Connections that each client may open.", unit="connections", merge="max"),
    _client.counter("pools_replaced", "Pools that were replaced, as they had lost connections.", "replaced"),
    _client.info("The mode that the client is in.", "mode"),
)

_connect = Kind("connect", "penstock_connect")
_CALLS = "Calls of connect(), by what became of them."

CONNECT = (
    *(
        _connect.counter("calls", _CALLS, field, fixed=(("outcome", field),))
        for field in ("off", "observed", "pooled", "unpooled")
    ),
    _connect.gauge("pools", "Pools that connect() has."),
    _connect.counter(
        "cleaned", "Connections that came back with something left in their session, and were made fresh."
    ),
    _connect.counter("discarded", "Connections that could not be made fresh, and were closed."),
    _connect.counter("dropped", "Connections that were forgotten without being closed."),
    _connect.info("The mode that connect() is in.", "mode"),
)
