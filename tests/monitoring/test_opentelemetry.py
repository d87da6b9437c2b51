"""What OpenTelemetry is told."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from penstock_limits import Limiter, leave_resource
from penstock_monitoring import METRICS, OpenTelemetryBridge
from penstock_monitoring._opentelemetry.bridge import instrument_name

from tests.monitoring.helpers import Fake, Numbers


def exported(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def registered() -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    OpenTelemetryBridge().register(MeterProvider([reader]).get_meter("test"))
    return reader


def test_a_limiter_is_shown_when_it_is_exported() -> None:
    """Counters as sums, the rest as gauges, with units apart from names."""
    limiter = Limiter("api", max_running=3)
    limiter.acquire_nowait()

    seen = exported(registered())

    running, acquired = seen["penstock.limiter_running"], seen["penstock.limiter_acquired"]
    assert [(dict(each.attributes), each.value) for each in running.data.data_points] == [({"name": "api"}, 1)]
    assert acquired.data.is_monotonic
    assert seen["penstock.limiter_wait"].unit == "s"


@pytest.mark.parametrize(
    ("temporality", "expected"),
    [(AggregationTemporality.CUMULATIVE, [6, 6, 7, 8]), (AggregationTemporality.DELTA, [6, 0, 1, 1])],
)
def test_a_counter_never_falls(temporality: AggregationTemporality, expected: list[int]) -> None:
    """Not when a resource goes while another of its name is left, nor when all go and one comes."""
    reader = InMemoryMetricReader(preferred_temporality={ObservableCounter: temporality})
    OpenTelemetryBridge().register(MeterProvider([reader]).get_meter("test"))
    seen = []

    def acquire(limiter: Limiter, times: int) -> None:
        for _ in range(times):
            limiter.acquire_nowait()

    def export() -> None:
        points = exported(reader)["penstock.limiter_acquired"].data.data_points
        seen.extend(each.value for each in points if dict(each.attributes) == {"name": "api"})

    stays, leaves = Limiter("api", max_running=9), Limiter("api", max_running=9)
    acquire(stays, 1)
    acquire(leaves, 5)
    export()
    leave_resource(leaves)
    export()
    acquire(stays, 1)
    export()
    leave_resource(stays)
    reader.get_metrics_data()
    newer = Limiter("api", max_running=9)
    acquire(newer, 1)
    export()

    assert seen == expected


def test_every_export_is_read_anew_and_each_resource_once_for_it() -> None:
    """All instruments of one export show one moment."""
    reader = registered()
    with Fake("limiter", "api", Numbers(running=1)) as fake:
        before = exported(reader)
        asked = fake.asked
        fake.told = Numbers(running=2)
        after = exported(reader)

    assert (asked, fake.asked) == (1, 2)
    values = [seen["penstock.limiter_running"].data.data_points[0].value for seen in (before, after)]
    assert values == [1, 2]


def test_no_two_metrics_have_the_same_instrument() -> None:
    """Though units are not in its name."""
    names = {metric.name for metric in METRICS}

    assert len({instrument_name(metric) for metric in METRICS}) == len(names)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_in_the_midst_of_an_export_exports() -> None:
    """Its parent's thread, which holds the lock, is not there to give it back."""
    kept = Limiter("api", max_running=1)
    bridge, metric = OpenTelemetryBridge(), next(each for each in METRICS if each.name == "penstock_limiter_limit")
    with bridge._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            os._exit(0 if bridge._values(metric) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.name
