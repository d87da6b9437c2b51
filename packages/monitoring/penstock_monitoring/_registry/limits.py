"""Limiters, adaptive limits and rates."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["ADAPTIVE", "LIMITER", "RATE"]

_limiter = Kind("limiter", "penstock_limiter")

LIMITER = (
    _limiter.gauge("running", "Permits that are out."),
    _limiter.gauge("limit", "Permits that may be out.", "max_running"),
    _limiter.gauge("running_peak", "The most permits that were ever out.", "peak_running", merge="max"),
    _limiter.gauge("queued", "Callers that wait; a fan-out is one."),
    _limiter.gauge("queue_limit", "Callers that may wait; absent where any number may.", "max_queued"),
    _limiter.counter("acquired", "Permits taken."),
    _limiter.counter("waited", "Permits that were waited for."),
    _limiter.counter("rejected", "Callers refused, as the queue was full or they would not wait."),
    _limiter.counter("timeouts", "Callers that waited as long as they would.", "timed_out"),
    _limiter.seconds("wait", "How long callers waited, all together; those who wait now, until now."),
    _limiter.longest("wait_longest", "How long the most patient caller waited.", "longest_wait"),
    _limiter.seconds("saturated", "How long anybody waited."),
    _limiter.seconds(
        "hold", "How long permits were out, all together; from samples of how many are.", source="sampled"
    ),
    _limiter.seconds(
        "near_limit", "How long the share in use was the alert threshold or more; from samples.", source="sampled"
    ),
    _limiter.counter("would_wait", "Permits that would have been waited for, in mode observe."),
    _limiter.counter("would_reject", "Callers that would have been refused, in mode observe."),
    _limiter.counter("surplus_releases", "Releases without an acquire."),
    _limiter.info("The mode that the limiter is in.", "mode"),
)

_adaptive = Kind("adaptive-limit", "penstock_adaptive_limit")

ADAPTIVE = (
    _adaptive.gauge("limit", "What the limiter allows.", "max_running"),
    _adaptive.gauge("would_be", "What the algorithm says; the limiter is given it in mode enforce."),
    _adaptive.gauge("in_flight", "Calls that hold a permit."),
    _adaptive.longest("base_latency", "The latency without a queue; absent while it is not known.", "base"),
    _adaptive.longest("latency", "The latency lately; absent while it is not known.", "latency"),
    _adaptive.gauge(
        "gradient_ratio", "The former in terms of the latter, at most 1.", "gradient", "ratio", merge="max"
    ),
    _adaptive.counter("succeeded", "Calls that were learnt from."),
    _adaptive.counter("dropped", "Calls for which the service was too busy."),
    _adaptive.counter("ignored", "Calls that say nothing about the service."),
    _adaptive.counter("changes", "How often the limit was changed.", "changed"),
    _adaptive.info("The mode and the algorithm of the limit.", "mode", "algorithm"),
)

_rate = Kind("rate", "penstock_rate")
_dimension = Kind("rate", "penstock_rate", ("name", "dimension"))

RATE = (
    _rate.gauge("queued", "Callers that wait."),
    _rate.gauge("queue_limit", "Callers that may wait; absent where any number may.", "max_queued"),
    _rate.counter("acquired", "Reservations admitted."),
    _rate.counter("waited", "Reservations that were waited for."),
    _rate.counter("rejected", "Callers refused, as the queue was full or the request too large."),
    _rate.counter("timeouts", "Callers that waited as long as they would.", "timed_out"),
    _rate.seconds("wait", "How long callers waited, all together; those who wait now, until now."),
    _rate.longest("wait_longest", "How long the most patient caller waited.", "longest_wait"),
    _rate.seconds("saturated", "How long anybody waited."),
    _rate.counter("would_wait", "Reservations that would have been waited for, in mode observe."),
    _rate.counter("would_reject", "Requests that would have been refused, in mode observe."),
    _rate.longest("blocked", "For how long from now the provider has asked for a pause.", "blocked"),
    _dimension.gauge("limit", "How much is admitted per period: requests, tokens.", "dimensions.amount"),
    _dimension.longest("period", "The period.", "dimensions.per"),
    _dimension.gauge("burst", "How much at once after a pause; absent if the window is strict.", "dimensions.burst"),
    _dimension.gauge("available", "How much could be admitted now; below 0 if overdrawn.", "dimensions.available"),
    _dimension.counter("used", "How much was used, as far as it is known.", "dimensions.used"),
    _dimension.gauge("remaining", "What the provider still allows; absent if it has not said.", "dimensions.remaining"),
    _dimension.gauge("advertised", "The provider's own limit; absent if it has not said.", "dimensions.advertised"),
    _rate.info("The mode that the rate is in.", "mode"),
)
