"""Tasks, threads and executors, as `penstock_tasks` tells of them; what it does not tell is absent."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["EXECUTOR", "TASKS", "THREADS"]

_tasks = Kind("tasks", "penstock_tasks")
_FINISHED = "Tasks that have ended, by how."

TASKS = (
    _tasks.gauge("alive", "Tasks that have not ended.", "running"),
    _tasks.counter("started", "Tasks started."),
    *(
        _tasks.counter("finished", _FINISHED, field, fixed=(("outcome", field),))
        for field in ("succeeded", "failed", "cancelled")
    ),
    _tasks.counter("timeouts", "Calls of timeout_wrapper whose time was over.", "timed_out"),
    _tasks.counter("left_behind", "Tasks that did not end when they were told to."),
    _tasks.gauge("services", "Services that run, or wait for their next start."),
    _tasks.gauge("periodic", "Periodic jobs."),
    _tasks.counter("restarts", "How often services were started again."),
    _tasks.info("The mode that the manager is in.", "mode"),
)

_threads = Kind("threads", "penstock_threads")

THREADS = (
    _threads.gauge("alive", "Threads that have an owner and run."),
    _threads.gauge("observed", "Threads that would have an owner, were the mode not observe."),
    _threads.gauge("unmanaged", "Daemon threads that nobody owns, whoever made them.", "unowned_daemons"),
    _threads.counter("started", "Threads and timers started, those of executors left out."),
    _threads.counter("left_behind", "Threads that did not end when they were told to."),
    _threads.counter("timeouts", "Calls by to_thread that had not returned at their deadline.", "timed_out"),
    _threads.counter("would_time_out", "The same, in mode observe."),
    _threads.counter("unawaited", "Calls by to_thread that nobody waited for any more while they ran."),
)

_executor = Kind("executor", "penstock_executor")

EXECUTOR = (
    _executor.gauge("running", "Calls under way."),
    _executor.gauge("limit", "Threads that there may be.", "max_running"),
    _executor.gauge("queued", "Calls that wait for a thread."),
    _executor.gauge("queued_peak", "The most that ever waited.", "peak_queued", merge="max"),
    _executor.counter("submitted", "Calls submitted."),
    _executor.counter("started", "Calls that were given a thread."),
    _executor.counter("cancelled", "Calls that were cancelled before they were given one."),
    _executor.seconds("wait", "How long calls waited for a thread, all together."),
    _executor.longest("wait_longest", "How long one waited at most.", "longest_wait"),
    _executor.info("The mode that the executor was made in.", "mode"),
)
