"""The task in whose block something lives."""

from __future__ import annotations

import asyncio
from asyncio import Task
from typing import Any

__all__ = ["Block"]


class Block:
    """The current task, which has just entered a block; it can be made to leave it.

    Attributes:
        task: The task.
    """

    __slots__ = ("_cancelling", "_interrupted", "task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("task managers and scopes are entered in a task: there is no parent task here")
        self.task: Task[Any] = task
        self._cancelling = task.cancelling()
        self._interrupted = False

    def interrupt(self) -> None:
        """Make the task leave the block: cancel it, once."""
        if not self._interrupted:
            self._interrupted = self.task.cancel()

    def take_back(self) -> bool:
        """Take the own cancellation back, if there was one; tell whether others have cancelled the task."""
        if self._interrupted:
            self._interrupted = False
            self.task.uncancel()
        return self.task.cancelling() > self._cancelling
