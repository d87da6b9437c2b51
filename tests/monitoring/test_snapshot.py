"""A snapshot as JSON is what its schema says."""

from __future__ import annotations

import asyncio
import json
import math
from array import array
from dataclasses import dataclass, field
from importlib.resources import files

import jsonschema
import pytest
from penstock_limits import (
    AdaptiveLimit,
    Aimd,
    CircuitBreaker,
    Hedge,
    Limiter,
    Policy,
    Rate,
    RateLimiter,
    Retry,
    RetryBudget,
)
from penstock_monitoring import ConcurrencyMonitor, Utilisation
from penstock_monitoring.generate import DATA, render

from tests.monitoring.helpers import Fake, Numbers, until

SCHEMA = json.loads((files("penstock_monitoring") / "data" / "snapshot.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", render())
def test_a_generated_file_is_up_to_date(path: str) -> None:
    """If this fails, run `python -m penstock_monitoring.generate`."""
    assert (DATA / path).read_text(encoding="utf-8") == render()[path]


def test_the_schema_is_one() -> None:
    """Of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@dataclass(frozen=True)
class Node:
    name: str
    age: float
    task: object = field(default_factory=object)
    children: tuple[Node, ...] = ()


class Manager(Fake):
    def tree(self) -> Node:
        leaf = Node("answer the customer's question about her divorce", 2.0)
        return Node("root", math.inf, children=(Node("worker-1", 1.5, children=(leaf,)),))


async def test_a_snapshot_of_everything_is_valid() -> None:
    """Every kind of resource that there is, a tree of tasks, alerts, and kinds that are unknown."""
    limiter = Limiter("api", max_running=2)
    kept = [
        AdaptiveLimit(Limiter("adaptive", max_running=2), Aimd()),
        CircuitBreaker("breaker"),
        Hedge("hedge", after=1),
        Policy("policy"),
        RateLimiter("rate", requests=Rate(60), tokens=Rate(1000)),
        Retry("retry"),
        RetryBudget("budget"),
    ]
    limiter.acquire_nowait()
    monitor = ConcurrencyMonitor(interval=0.01, window=1)
    monitor.alert_resource_exhaustion("api", 0.5)
    with Manager("tasks", "jobs", Numbers()), Fake("odd", "odd", {"a": math.nan, "b": None, "c": "text"}):
        async with monitor:
            await until(lambda: monitor.snapshot().alerts)
            snapshot = monitor.snapshot()

    plain = json.loads(await asyncio.to_thread(snapshot.to_json))
    jsonschema.validate(plain, SCHEMA)

    kinds = {each["kind"] for each in plain["resources"]}
    assert kinds >= {
        "adaptive-limit",
        "breaker",
        "hedge",
        "limiter",
        "policy",
        "rate",
        "retry",
        "retry-budget",
        "tasks",
    }
    assert plain["capabilities"]["bounded-fanout"] == "off"
    assert plain["tasks"][0]["children"][0] == {
        "name": "worker-1",
        "age": 1.5,
        "children": [{"name": "***", "age": 2.0, "children": []}],
    }
    (rate,) = [each["values"] for each in plain["resources"] if each["kind"] == "rate"]
    assert rate["dimensions.tokens.amount"] == 1000
    assert len(kept) == 7


def test_the_schema_refuses_what_it_does_not_describe() -> None:
    """Else the test above would hold for anything."""
    plain = ConcurrencyMonitor().snapshot().as_dict()

    for wrong in ({"at": "now"}, {"loops": [{}]}, {"more": 1}, {"capabilities": {"bounded-fanout": "on"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**plain, **wrong}, SCHEMA)


def test_a_long_history_has_few_points_and_loses_no_peak() -> None:
    """Each point is the highest of its time; where nothing was seen there is none."""
    shares = array("f", [0.25] * 600)
    shares[300] = 1.0
    shares[:100] = array("f", [math.nan] * 100)
    seen = Utilisation("limiter", "api", array("d", range(600)), shares)

    assert len(seen.points) == 100
    assert max(share for _, share in seen.points) == 1.0


def test_a_resource_that_came_late_has_the_latest_times() -> None:
    """Its shares belong to the end of the window."""
    seen = Utilisation("limiter", "api", array("d", range(10)), array("f", [0.5, 1.0]))

    assert seen.points == [(8.0, 0.5), (9.0, 1.0)]
