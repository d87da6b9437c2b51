"""Every task and thread has an owner, a limit and an end."""

from penstock_tasks._threads.blocking import ThreadTimeoutError, to_thread
from penstock_tasks._threads.counters import ThreadsStatistics
from penstock_tasks._threads.executor import ExecutorStatistics, ThreadPoolExecutor
from penstock_tasks._threads.exit import set_exit_deadline
from penstock_tasks._threads.ownership import stop_event
from penstock_tasks._threads.places import ThreadNode, threads
from penstock_tasks._threads.thread import Thread, Timer

__all__ = [
    "ExecutorStatistics",
    "Thread",
    "ThreadNode",
    "ThreadPoolExecutor",
    "ThreadTimeoutError",
    "ThreadsStatistics",
    "Timer",
    "set_exit_deadline",
    "stop_event",
    "threads",
    "to_thread",
]
