"""The process: event loops, threads, capabilities, flags, phases, the build, and the monitor itself."""

from __future__ import annotations

from typing import Final

from penstock_monitoring._registry.metric import Kind

__all__ = ["BUILD", "CAPABILITY", "FLAGS", "LOOP", "MONITOR", "PHASE", "PHASES"]

PHASES: Final = {
    "bounded-fanout": "1",
    "pooled-database": "1",
    "managed-threads": "1",
    "modern-loop-api": "2",
    "async-http": "2",
    "managed-resources": "2",
    "provider-rates": "2",
    "central-manager": "3",
    "governed-breaker": "3",
    "jittered-retry": "3",
}

_loop = Kind("loop", "penstock_loop", ("loop",))
_LAG = "Lag of the event loop: how late it woke the monitor; quantiles over the monitor's window."

LOOP = (
    _loop.longest("lag", _LAG, "p50", fixed=(("quantile", "0.5"),)),
    _loop.longest("lag", _LAG, "p99", fixed=(("quantile", "0.99"),)),
    _loop.longest("lag", _LAG, "max", fixed=(("quantile", "1"),)),
    _loop.longest("stalled", "How late the event loop is at this moment; grows while it is blocked.", "stalled"),
)

_capability = Kind("capability", "penstock_capability", ("capability",))

CAPABILITY = (
    _capability.state(
        "mode", "1 for the mode that the capability is in, 0 for the others.", "mode", ("off", "observe", "enforce")
    ),
    _capability.gauge(
        "overridden", "1 while a PENSTOCK_MODE variable overrides the capability's flag, else 0.", merge="max"
    ),
)

FLAGS = (
    Kind("flags", "penstock_flag", ()).info(
        "Environment of the flags, and their source: LaunchDarkly, a file's name, defaults, none; always 1.",
        "environment",
        "source",
    ),
)

PHASE = (
    Kind("phase", "penstock_phase", ()).info("The phase that opens a capability; always 1.", "phase", "capability"),
)

BUILD = (
    Kind("build", "penstock_build", ()).info(
        "Version of penstock-monitoring and of Python; always 1.", "version", "python", "implementation"
    ),
)

_monitor = Kind("monitor", "penstock_monitor", ())

MONITOR = (
    _monitor.gauge("resources", "Limiters, pools and other resources that the monitor sees."),
    _monitor.gauge("unreadable", "Resources whose statistics could not be read."),
    _monitor.counter("samples", "Samples taken; they stop while the event loop is blocked."),
    _monitor.gauge("threads", "Threads of the process."),
    _monitor.longest(
        "age", "Age of what a process shows; above 0 for other workers than the one that was scraped.", "age"
    ),
    _monitor.gauge("daemon_threads", "Daemon threads of the process: its exit does not wait for them."),
)
