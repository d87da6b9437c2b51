"""Alerts of the process itself, and the hooks that are told of them."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["ALERT", "HOOK"]

ALERT = (
    Kind("alert", "penstock_alert", ("name", "kind", "alert", "severity")).gauge(
        "active", "1 while the process itself says that something is amiss, 0 for a while after.", merge="max"
    ),
)

_hook = Kind("hook", "penstock_alert_hook")
_TOLD = "Alerts that a hook was to be told of, by what became of it."

HOOK = tuple(
    _hook.counter("calls", _TOLD, field, fixed=(("outcome", field),)) for field in ("told", "failed", "dropped")
)
