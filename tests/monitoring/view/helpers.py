"""What the tests of the live view share."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from penstock_limits.introspection import CallSite
from penstock_monitoring import PageServer

from tests.monitoring.helpers import Fake

__all__ = ["Answer", "TaskNode", "TaskTree", "Tasks", "get"]


@dataclass(frozen=True)
class Answer:
    """What a page has answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(page: PageServer, path: str = "/", *, method: str = "GET", **headers: str) -> Answer:
    """Ask a page for something, with headers."""
    host = page.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, page.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class TaskNode:
    """A task, as penstock_tasks tells of it."""

    name: str
    age: float = 1.0
    waits_on: str | None = None
    function: str = "Agent.run"
    part_of: str = ""
    created: CallSite | None = None
    children: tuple[TaskNode, ...] = ()


@dataclass(frozen=True)
class TaskTree:
    """The tasks of a manager, as penstock_tasks tells of them."""

    name: str
    nodes: tuple[TaskNode, ...]
    mode: str = "enforce"


class Tasks(Fake):
    """A manager of somebody else's with tasks."""

    nodes: tuple[TaskNode, ...] = ()
    error: Exception | None = None

    def tree(self) -> TaskTree:
        if self.error is not None:
            raise self.error
        return TaskTree(self.name, self.nodes)
