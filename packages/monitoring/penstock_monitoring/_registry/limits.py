"""Limiters, adaptive limits and rates."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["ADAPTIVE", "LIMITER", "RATE"]

_QUEUE_LIMIT = "Callers that may wait; absent if any number may."
_TIMEOUTS = "Callers that gave up waiting at their deadline."
_WAIT = "Total time that callers waited, of all callers, those that still wait included."
_LONGEST = "Longest wait of one caller so far; of those that wait no more."
_SATURATED = "Total time during which at least one caller waited."

_limiter = Kind("limiter", "penstock_limiter")

LIMITER = (
    _limiter.gauge("running", "Permits in use."),
    _limiter.gauge("limit", "Permits that may be in use at once.", "max_running"),
    _limiter.gauge("running_peak", "The most permits that were ever in use at once.", "peak_running", merge="max"),
    _limiter.gauge("queued", "Callers waiting for a permit; a fan-out counts as one."),
    _limiter.gauge("queue_limit", _QUEUE_LIMIT, "max_queued"),
    _limiter.counter("acquired", "Permits acquired."),
    _limiter.counter("waited", "Permits acquired after a wait."),
    _limiter.counter("rejected", "Callers rejected: the queue was full, or they would not wait."),
    _limiter.counter("timeouts", _TIMEOUTS, "timed_out"),
    _limiter.seconds("wait", _WAIT),
    _limiter.longest("wait_longest", _LONGEST, "longest_wait"),
    _limiter.seconds("saturated", _SATURATED),
    _limiter.seconds(
        "hold",
        "Total time that permits were held, over all permits; from samples of how many are in use.",
        source="sampled",
    ),
    _limiter.seconds(
        "near_limit",
        "Total time that the share in use was at or above the alert threshold; from samples.",
        source="sampled",
    ),
    _limiter.counter("would_wait", "In mode observe: permits that would have been waited for."),
    _limiter.counter("would_reject", "In mode observe: callers that would have been rejected."),
    _limiter.counter(
        "surplus_releases", "Releases without an acquire: each adds a permit, and is a defect of the program."
    ),
    _limiter.info("The limiter's mode; always 1.", "mode"),
)

_adaptive = Kind("adaptive-limit", "penstock_adaptive_limit")

ADAPTIVE = (
    _adaptive.gauge("limit", "Permits that the limiter allows now.", "max_running"),
    _adaptive.gauge("would_be", "Permits that the algorithm would allow; in mode enforce the limiter gets them."),
    _adaptive.gauge("in_flight", "Calls holding a permit."),
    _adaptive.longest("base_latency", "Latency of the service without a queue; absent while it is not known.", "base"),
    _adaptive.longest("latency", "Recent latency of the service; absent while it is not known.", "latency"),
    _adaptive.gauge(
        "gradient_ratio",
        "Latency without a queue divided by recent latency, at most 1: the lower, the more overloaded.",
        "gradient",
        "ratio",
        merge="max",
    ),
    _adaptive.counter("succeeded", "Calls whose latency was learnt from."),
    _adaptive.counter("dropped", "Calls that failed as the service was overloaded: 429, 503, a timeout."),
    _adaptive.counter("ignored", "Calls that say nothing about the service, such as cancelled ones."),
    _adaptive.counter("changes", "Changes of the limit.", "changed"),
    _adaptive.info("The limit's mode and algorithm; always 1.", "mode", "algorithm"),
)

_rate = Kind("rate", "penstock_rate")
_dimension = Kind("rate", "penstock_rate", ("name", "dimension"))

RATE = (
    _rate.gauge("queued", "Callers waiting for the rate to admit them."),
    _rate.gauge("queue_limit", _QUEUE_LIMIT, "max_queued"),
    _rate.counter("acquired", "Reservations admitted."),
    _rate.counter("waited", "Reservations admitted after a wait."),
    _rate.counter("rejected", "Callers rejected: the queue was full, or the request larger than is ever admitted."),
    _rate.counter("timeouts", _TIMEOUTS, "timed_out"),
    _rate.seconds("wait", _WAIT),
    _rate.longest("wait_longest", _LONGEST, "longest_wait"),
    _rate.seconds("saturated", _SATURATED),
    _rate.counter("would_wait", "In mode observe: reservations that would have been waited for."),
    _rate.counter("would_reject", "In mode observe: requests that would have been rejected."),
    _rate.longest("blocked", "Pause that the provider has asked for, from now; 0 if none.", "blocked"),
    _dimension.gauge("limit", "Amount admitted per period: requests, tokens.", "dimensions.amount"),
    _dimension.longest("period", "Length of the period.", "dimensions.per"),
    _dimension.gauge(
        "burst", "Amount admitted at once after a pause; absent if the window is strict.", "dimensions.burst"
    ),
    _dimension.gauge(
        "available",
        "Amount that could be admitted now; below 0 if more was used than reserved.",
        "dimensions.available",
    ),
    _dimension.counter("used", "Amount used, as far as it is known.", "dimensions.used"),
    _dimension.gauge(
        "remaining",
        "Amount that the provider says it still allows; absent if it has not said, or not lately.",
        "dimensions.remaining",
    ),
    _dimension.gauge(
        "advertised", "The provider's own limit per period; absent if it has not said.", "dimensions.advertised"
    ),
    _rate.info("The rate's mode; always 1.", "mode"),
)
