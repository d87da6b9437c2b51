"""Tasks, services, threads and executors, as `penstock_tasks` tells of them; what it does not tell is absent."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["EXECUTOR", "SERVICE", "TASKS", "THREADS"]

_tasks = Kind("tasks", "penstock_tasks")
_FINISHED = "Tasks that have ended, by how."

TASKS = (
    _tasks.gauge("alive", "Tasks that have not ended.", "running"),
    _tasks.gauge("alive_peak", "The most that there ever were.", "peak_running", merge="max"),
    _tasks.gauge("limit", "Tasks that may run at once; absent where any number may.", "max_running"),
    _tasks.gauge("queued", "Tasks that wait for their limit."),
    _tasks.counter("started", "Tasks started."),
    *(
        _tasks.counter("finished", _FINISHED, field, fixed=(("outcome", field),))
        for field in ("succeeded", "failed", "cancelled", "timed_out")
    ),
    _tasks.counter("left_behind", "Tasks that did not end when they were told to."),
    _tasks.counter("would_own", "Tasks that would have had an owner, in mode observe."),
    _tasks.gauge("services", "Services that run."),
    _tasks.counter("restarts", "How often services were started again.", "restarted"),
    _tasks.info("The mode that the manager is in.", "mode"),
)

_service = Kind("service", "penstock_service")

SERVICE = (
    _service.gauge("alive", "Whether the service runs.", "running"),
    _service.counter("started", "How often it was started."),
    _service.counter("restarts", "How often it was started again.", "restarted"),
    _service.counter("failed", "How often it failed."),
    _service.info("The mode that the service is in.", "mode"),
)

_threads = Kind("threads", "penstock_threads")

THREADS = (
    _threads.gauge("alive", "Threads that have an owner and run.", "running"),
    _threads.gauge("unmanaged", "Threads that nobody owns."),
    _threads.gauge("daemon", "Threads among them that the exit would not wait for."),
    _threads.counter("started", "Threads started."),
    _threads.counter("finished", "Threads that have ended."),
    _threads.counter("failed", "Threads that ended with an exception."),
    _threads.counter("left_behind", "Threads that did not end when they were told to."),
    _threads.info("The mode of threads.", "mode"),
)

_executor = Kind("executor", "penstock_executor")

EXECUTOR = (
    _executor.gauge("running", "Calls under way."),
    _executor.gauge("limit", "Calls that may be under way.", "max_running"),
    _executor.gauge("queued", "Calls that wait for a thread."),
    _executor.gauge("queue_limit", "Calls that may wait; absent where any number may.", "max_queued"),
    _executor.counter("started", "Calls that were given a thread."),
    _executor.counter("submitted", "Calls submitted."),
    _executor.counter("finished", "Calls that have ended."),
    _executor.counter("failed", "Calls that ended with an exception."),
    _executor.counter("rejected", "Calls refused because the queue was full."),
    _executor.counter("timeouts", "Calls that were not waited for any longer.", "timed_out"),
    _executor.counter("left_behind", "Calls that did not end when they were told to."),
    _executor.seconds("wait", "How long calls waited for a thread, all together."),
    _executor.longest("wait_longest", "How long one waited at most.", "longest_wait"),
    _executor.seconds("saturated", "How long anybody waited; from samples.", source="sampled"),
    _executor.info("The mode that the executor is in.", "mode"),
)
