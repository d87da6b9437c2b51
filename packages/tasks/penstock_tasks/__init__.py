"""Every task and thread has an owner, a limit and an end."""

from penstock_tasks._tasks.create_task import create_task
from penstock_tasks._tasks.ending import JobEnd, ShutdownReport
from penstock_tasks._tasks.manager import TaskManager
from penstock_tasks._tasks.repeated import PeriodicJob, RestartPolicy, Service
from penstock_tasks._tasks.scope import TaskScope
from penstock_tasks._tasks.statistics import TaskManagerStatistics
from penstock_tasks._tasks.tree import TaskNode, TaskTree
from penstock_tasks._threads.blocking import ThreadTimeoutError, to_thread
from penstock_tasks._threads.counters import ThreadsStatistics
from penstock_tasks._threads.executor import ExecutorStatistics, ThreadPoolExecutor
from penstock_tasks._threads.exit import set_exit_deadline
from penstock_tasks._threads.ownership import stop_event
from penstock_tasks._threads.places import ThreadNode, threads
from penstock_tasks._threads.thread import Thread, Timer

__all__ = [
    "ExecutorStatistics",
    "JobEnd",
    "PeriodicJob",
    "RestartPolicy",
    "Service",
    "ShutdownReport",
    "TaskManager",
    "TaskManagerStatistics",
    "TaskNode",
    "TaskScope",
    "TaskTree",
    "Thread",
    "ThreadNode",
    "ThreadPoolExecutor",
    "ThreadTimeoutError",
    "ThreadsStatistics",
    "Timer",
    "create_task",
    "set_exit_deadline",
    "stop_event",
    "threads",
    "to_thread",
]
