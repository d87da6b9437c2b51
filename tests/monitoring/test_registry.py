"""What is measured, and that nothing is forgotten."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import typing
from collections.abc import Iterator

import penstock_limits
import penstock_pooling
import penstock_tasks
import pytest
from penstock_migrations._proving.phases import phases
from penstock_monitoring import METRICS, Metric
from penstock_monitoring._registry.catalogue import LEFT_OUT
from penstock_monitoring._registry.process import PHASES

KINDS = {
    "AdaptiveStatistics": "adaptive-limit",
    "BreakerStatistics": "breaker",
    "ClientStatistics": "client",
    "ConnectStatistics": "connect",
    "DimensionStatistics": "rate",
    "ExecutorStatistics": "executor",
    "HedgeStatistics": "hedge",
    "LimiterStatistics": "limiter",
    "PolicyStatistics": "policy",
    "PoolStatistics": "pool",
    "RateStatistics": "rate",
    "RetryBudgetStatistics": "retry-budget",
    "RetryStatistics": "retry",
    "Statistics": "metrics",
    "TaskManagerStatistics": "tasks",
    "ThreadsStatistics": "threads",
}
PREFIXES = {"DimensionStatistics": "dimensions."}
NUMBERS = {int, float}


def statistics() -> Iterator[type]:
    """Return every dataclass of the packages whose name ends with Statistics."""
    found = set()
    for package in (penstock_limits, penstock_pooling, penstock_tasks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if (
                    isinstance(value, type)
                    and dataclasses.is_dataclass(value)
                    and value.__name__.endswith("Statistics")
                ):
                    found.add(value)
    return iter(sorted(found, key=lambda each: each.__name__))


def numeric_fields(holder: type) -> list[str]:
    hints = typing.get_type_hints(holder)
    return [name for name, hint in hints.items() if {hint, *typing.get_args(hint)} & NUMBERS]


STATISTICS = list(statistics())


def test_every_statistics_dataclass_is_known() -> None:
    """A new one needs metrics, and a line above."""
    assert {each.__name__ for each in STATISTICS} == KINDS.keys()


@pytest.mark.parametrize("holder", STATISTICS, ids=lambda each: each.__name__)
def test_every_number_of_statistics_is_a_metric_or_left_out_for_a_reason(holder: type) -> None:
    """What a resource counts can be seen."""
    kind, prefix = KINDS[holder.__name__], PREFIXES.get(holder.__name__, "")
    measured = {metric.field for metric in METRICS if metric.kind == kind and metric.source == "statistics"}

    for field in numeric_fields(holder):
        assert (prefix + field in measured) is not ((kind, field) in LEFT_OUT), field


@pytest.mark.parametrize("holder", STATISTICS, ids=lambda each: each.__name__)
def test_every_metric_is_about_a_field_that_there_is(holder: type) -> None:
    """A field that is renamed does not vanish from the dashboards unnoticed."""
    kind = KINDS[holder.__name__]
    fields = {
        PREFIXES.get(each.__name__, "") + field.name
        for each in STATISTICS
        if KINDS[each.__name__] == kind
        for field in dataclasses.fields(each)
    }

    for metric in METRICS:
        if metric.kind == kind and metric.source == "statistics":
            asked = metric.labels[1:] if metric.type == "info" else (metric.field,)
            assert fields.issuperset(asked), metric


def test_what_is_left_out_is_there() -> None:
    """A reason without a field is out of date."""
    there = {(KINDS[each.__name__], field) for each in STATISTICS for field in numeric_fields(each)}

    assert LEFT_OUT.keys() <= there


@pytest.mark.parametrize("metric", METRICS, ids=lambda each: f"{each.name}{each.fixed or ''}")
def test_a_name_says_the_unit_and_the_type(metric: Metric) -> None:
    """As Prometheus wants it: base units, `_total` for counters, nothing in capitals."""
    assert re.fullmatch(r"penstock(_[a-z0-9]+)+", metric.name)
    assert metric.name.endswith("_total") is (metric.type == "counter")
    if metric.unit == "seconds":
        assert metric.name.removesuffix("_total").endswith("_seconds")
    assert metric.help.endswith(".")
    assert len(set(metric.labels) | {name for name, _ in metric.fixed}) == len(metric.labels) + len(metric.fixed)


def test_metrics_of_one_name_say_the_same_and_are_told_apart_by_labels() -> None:
    """Else a scrape would be refused."""
    by_name: dict[str, list[Metric]] = {}
    for metric in METRICS:
        by_name.setdefault(metric.name, []).append(metric)

    for metrics in by_name.values():
        assert len({(each.type, each.help, each.kind, each.labels) for each in metrics}) == 1
        assert len({each.fixed for each in metrics}) == len(metrics)


def test_phases_are_those_of_the_plan() -> None:
    """What the plan says so far; and every capability has one."""
    planned = {capability: str(phase.number) for phase in phases() for capability in phase.opens}

    assert PHASES.keys() == set(penstock_limits.CAPABILITIES)
    assert planned.items() <= PHASES.items()


def test_every_field_of_statistics_has_its_line_in_the_docstring() -> None:
    """They are what the metrics' help is taken from."""
    for holder in STATISTICS:
        described = holder.__doc__ or ""
        assert all(f" {field.name}: " in described for field in dataclasses.fields(holder)), holder
