"""Tasks, threads and executors, as `penstock_tasks` tells of them; what it does not tell is absent."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["EXECUTOR", "TASKS", "THREADS"]

_tasks = Kind("tasks", "penstock_tasks")
_FINISHED = "Tasks finished, by outcome."

TASKS = (
    _tasks.gauge("alive", "Tasks that run now.", "running"),
    _tasks.counter("started", "Tasks started."),
    *(
        _tasks.counter("finished", _FINISHED, field, fixed=(("outcome", field),))
        for field in ("succeeded", "failed", "cancelled")
    ),
    _tasks.counter("timeouts", "Calls of timeout_wrapper that timed out.", "timed_out"),
    _tasks.counter("left_behind", "Tasks that did not stop when they were cancelled."),
    _tasks.gauge("services", "Services that run, or wait to be restarted."),
    _tasks.gauge("periodic", "Periodic jobs."),
    _tasks.counter("restarts", "Restarts of services."),
    _tasks.info("The task manager's mode; always 1.", "mode"),
)

_threads = Kind("threads", "penstock_threads")

THREADS = (
    _threads.gauge("alive", "Threads alive that have an owner, workers of executors included."),
    _threads.gauge("observed", "In mode observe: threads alive that would have an owner."),
    _threads.gauge("unmanaged", "Daemon threads alive that nobody owns, whoever made them.", "unowned_daemons"),
    _threads.counter("started", "Threads and timers started, without the workers of executors."),
    _threads.counter("left_behind", "Threads that did not stop by the deadline at the exit of the program."),
    _threads.counter("timeouts", "Calls by to_thread that still ran at their deadline.", "timed_out"),
    _threads.counter("would_time_out", "In mode observe: calls by to_thread that would have timed out."),
    _threads.counter("unawaited", "Calls by to_thread that run and that nobody waits for any more."),
)

_executor = Kind("executor", "penstock_executor")

EXECUTOR = (
    _executor.gauge("running", "Calls under way."),
    _executor.gauge("limit", "Threads that the executor may have.", "max_running"),
    _executor.gauge("queued", "Calls waiting for a thread."),
    _executor.gauge("queued_peak", "The most calls that ever waited at once.", "peak_queued", merge="max"),
    _executor.counter("submitted", "Calls submitted."),
    _executor.counter("started", "Calls that a thread has begun."),
    _executor.counter("cancelled", "Calls cancelled before a thread began them."),
    _executor.seconds("wait", "Total time that calls waited for a thread, of all calls."),
    _executor.longest("wait_longest", "Longest wait of one call so far.", "longest_wait"),
    _executor.info("The mode that the executor was made in; always 1.", "mode"),
)
