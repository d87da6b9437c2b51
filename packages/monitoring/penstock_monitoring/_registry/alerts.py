"""Alerts of the process itself, and the hooks that are told of them."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["ALERT", "HOOK"]

ALERT = (
    Kind("alert", "penstock_alert", ("name", "kind", "alert", "severity")).gauge(
        "active",
        "1 while an alert of the process itself is active, 0 for 15 minutes after it is resolved.",
        merge="max",
    ),
)

_hook = Kind("hook", "penstock_alert_hook")
_TOLD = "Alerts for a hook, by outcome: told, failed if it raised, dropped if too many waited for it."

HOOK = tuple(
    _hook.counter("calls", _TOLD, field, fixed=(("outcome", field),)) for field in ("told", "failed", "dropped")
)
