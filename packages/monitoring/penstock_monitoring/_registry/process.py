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
_LAG = "How late the event loop woke the monitor, over its window."

LOOP = (
    _loop.longest("lag", _LAG, "p50", fixed=(("quantile", "0.5"),)),
    _loop.longest("lag", _LAG, "p99", fixed=(("quantile", "0.99"),)),
    _loop.longest("lag", _LAG, "max", fixed=(("quantile", "1"),)),
    _loop.longest("stalled", "How late it is at this moment: it grows while the loop is blocked.", "stalled"),
)

_capability = Kind("capability", "penstock_capability", ("capability",))

CAPABILITY = (
    _capability.state("mode", "1 for the mode that the capability is in.", "mode", ("off", "observe", "enforce")),
    _capability.gauge("overridden", "1 while the environment says another mode than the mode source.", merge="max"),
)

FLAGS = (Kind("flags", "penstock_flag", ()).info("Where modes come from.", "environment", "source"),)

PHASE = (Kind("phase", "penstock_phase", ()).info("Which phase opens a capability.", "phase", "capability"),)

BUILD = (Kind("build", "penstock_build", ()).info("What runs.", "version", "python", "implementation"),)

_monitor = Kind("monitor", "penstock_monitor", ())

MONITOR = (
    _monitor.gauge("resources", "Resources that can be seen."),
    _monitor.gauge("unreadable", "Resources whose statistics could not be read."),
    _monitor.counter("samples", "How often everything was sampled."),
    _monitor.gauge("threads", "Threads of the process."),
    _monitor.longest("age", "How old this is: above 0 for other processes that are scraped with the one asked.", "age"),
    _monitor.gauge("daemon_threads", "Threads of the process that its exit does not wait for."),
)
