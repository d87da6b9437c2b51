"""Pools, HTTP clients and the drop-in `connect()`, in the words of HikariCP and OpenTelemetry."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["CLIENT", "CONNECT", "POOL"]

_pool = Kind("pool", "penstock_pool")
_OPEN = "Open connections, by state: used or idle."

POOL = (
    _pool.gauge("connections", _OPEN, "running", "connections", fixed=(("state", "used"),)),
    _pool.gauge("connections", _OPEN, "idle", "connections", fixed=(("state", "idle"),)),
    _pool.gauge("max_connections", "Connections that may be open at once.", "max_running", "connections"),
    _pool.gauge("min_connections", "Connections that are kept open when idle.", "min_size", "connections"),
    _pool.gauge(
        "peak_connections",
        "The most connections that were ever in use at once.",
        "peak_running",
        "connections",
        merge="max",
    ),
    _pool.gauge("pending", "Callers waiting for a connection.", "queued"),
    _pool.gauge("pending_limit", "Callers that may wait; absent if any number may.", "max_queued"),
    _pool.counter("acquired", "Connections acquired."),
    _pool.counter("waited", "Connections acquired after a wait."),
    _pool.counter("rejected", "Callers rejected: the queue was full."),
    _pool.counter("timeouts", "Callers that gave up waiting at their deadline.", "timed_out"),
    _pool.counter("deadlocks", "Callers rejected as they would have waited for themselves.", "deadlocked"),
    _pool.counter("nested", "Connections acquired by a task that had one already."),
    _pool.counter("opened", "Connections opened."),
    _pool.counter("expired", "Connections replaced at the end of their lifetime."),
    _pool.counter("discarded", "Connections closed as what was done in their session could not be undone."),
    _pool.counter("leaks", "Connections that were in use for longer than leak_after.", "leaked"),
    _pool.counter("abandoned", "Connections that were still in use when the pool was closed."),
    _pool.seconds("wait", "Total time that callers waited, of all callers."),
    _pool.longest("wait_longest", "Longest wait of one caller so far.", "longest_wait"),
    _pool.seconds("use", "Total time that connections were in use, over all connections.", "hold_seconds"),
    _pool.longest("use_longest", "Longest time that one connection was in use so far.", "longest_hold"),
    _pool.seconds("saturated", "Total time during which at least one caller waited; from samples.", source="sampled"),
    _pool.seconds(
        "near_limit",
        "Total time that the share in use was at or above the alert threshold; from samples.",
        source="sampled",
    ),
    _pool.counter("would_wait", "In mode observe: connections that would have been waited for."),
    _pool.counter("would_reject", "In mode observe: callers that would have been rejected."),
    _pool.counter("would_reuse", "In mode observe: connections opened where a pool would have had one open."),
    _pool.info("The pool's mode; always 1.", "mode"),
)

_client = Kind("client", "penstock_client")

CLIENT = (
    _client.gauge("borrowers", "Borrowers that have the client now.", "lent"),
    _client.counter("borrowed", "Times that the client was lent."),
    _client.counter("opened", "Clients opened."),
    _client.counter("requests", "Requests sent; a redirect that is followed is another."),
    _client.counter("connections_opened", "Connections opened.", "connections"),
    _client.gauge("active_requests", "Requests under way on shared clients.", "running"),
    _client.gauge("pending", "Requests waiting for a connection of a shared client.", "queued"),
    _client.gauge("max_connections", "Connections that each client may open.", unit="connections", merge="max"),
    _client.counter("pools_replaced", "Connection pools replaced as they had lost connections.", "replaced"),
    _client.info("The client's mode; always 1.", "mode"),
)

_connect = Kind("connect", "penstock_connect")
_CALLS = "Calls of connect(), by outcome."

CONNECT = (
    *(
        _connect.counter("calls", _CALLS, field, fixed=(("outcome", field),))
        for field in ("off", "observed", "pooled", "unpooled")
    ),
    _connect.gauge("pools", "Pools that connect() has opened and holds."),
    _connect.counter("cleaned", "Connections that came back with something left in their session, and were reset."),
    _connect.counter("discarded", "Connections that could not be reset, and were closed."),
    _connect.counter("dropped", "Connections that were garbage-collected without being closed."),
    _connect.info("The mode of connect(); always 1.", "mode"),
)
