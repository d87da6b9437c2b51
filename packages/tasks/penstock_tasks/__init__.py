"""Every task and thread has an owner, a limit and an end."""

from penstock_tasks._tasks.create_task import create_task
from penstock_tasks._tasks.ending import JobEnd, ShutdownReport
from penstock_tasks._tasks.manager import TaskManager, TaskManagerStatistics
from penstock_tasks._tasks.repeated import PeriodicJob, RestartPolicy, Service
from penstock_tasks._tasks.scope import TaskScope
from penstock_tasks._tasks.tree import TaskNode, TaskTree

__all__ = [
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
    "create_task",
]
