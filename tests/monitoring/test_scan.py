"""Scans: what resources counted is not lost while others of their name are there."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits import Limiter, Resource, leave_resource, resources
from penstock_limits.testing import ManualClock
from penstock_monitoring import Alert, AlertRule, ConcurrencyMonitor, PrometheusCollector
from penstock_monitoring._alerts.measures import Growth
from penstock_monitoring._alerts.watch import Watch
from penstock_monitoring._reading.scan import Scanner
from penstock_monitoring._registry.limits import LIMITER
from prometheus_client import CollectorRegistry

from tests.monitoring.helpers import Fake, until

ACQUIRED = next(metric for metric in LIMITER if metric.name == "penstock_limiter_acquired_total")


@dataclass(frozen=True)
class Counted:
    acquired: int
    running: int = 0
    max_running: int = 4
    mode: str = "enforce"


@dataclass(frozen=True)
class Used:
    used: float


@dataclass(frozen=True)
class Rated:
    dimensions: dict[str, Used] = field(default_factory=dict)


def fake(acquired: int, name: str = "api") -> Fake:
    return Fake("limiter", name, Counted(acquired))


def scanner() -> Scanner:
    return Scanner({}, lambda _: ())


def total(scanner: Scanner, *found: Fake) -> int:
    """Return what all have acquired together, as a scan says."""
    scan = scanner.scan(found)
    return sum(each.statistics.acquired for each in [*scan, *scan.gone])


def acquired(registry: CollectorRegistry, name: str = "api") -> float | None:
    return registry.get_sample_value(ACQUIRED.name, {"name": name})


def collected() -> CollectorRegistry:
    registry = CollectorRegistry()
    PrometheusCollector().register(registry)
    return registry


def test_a_resource_that_goes_keeps_what_it_counted() -> None:
    """Or the sum of its name would fall, which Prometheus takes for a restart of the process."""
    kept = Limiter("api", max_running=10)
    registry = collected()
    leaves = Limiter("api", max_running=10)
    for limiter, times in ((kept, 2), (leaves, 5)):
        for _ in range(times):
            limiter.acquire_nowait()
    assert acquired(registry) == 7

    leave_resource(leaves)
    assert acquired(registry) == 7
    kept.acquire_nowait()
    assert acquired(registry) == 8
    assert registry.get_sample_value("penstock_limiter_running", {"name": "api"}) == 3


def test_a_resource_that_nobody_keeps_alive_is_as_one_that_left() -> None:
    """Even where the next one of its name has its place in memory."""
    registry = collected()
    for _ in range(20):
        limiter = Limiter("api", max_running=10)
        limiter.acquire_nowait()
        before = acquired(registry)
        newer = Limiter("api", max_running=10)
        del limiter
        gc.collect()
        assert acquired(registry) == before
        limiter = newer
        limiter.acquire_nowait()
        del newer
    assert acquired(registry) == 21


def test_what_is_gone_is_forgotten_with_its_name() -> None:
    """The name's series ends, and begins anew at what is counted then."""
    scan = scanner()
    assert total(scan, fake(5), fake(1, "db")) == 6
    assert total(scan, fake(1, "db")) == 2
    assert total(scan) == 0
    assert total(scan, fake(3)) == 3


def test_counts_of_dimensions_are_kept_too() -> None:
    """What was used of a rate's tokens, as what was admitted of its requests."""
    scan, stays = scanner(), Fake("rate", "llm", Rated({"tokens": Used(4)}))
    goes = Fake("rate", "llm", Rated({"tokens": Used(10), "requests": Used(1)}))
    list(scan.scan([stays, goes]))
    list(again := scan.scan([stays]))

    (gone,) = again.gone
    assert {name: held.used for name, held in gone.statistics.dimensions.items()} == {"tokens": 10, "requests": 1}


def test_what_cannot_be_read_is_not_gone() -> None:
    """Its counts stay as they were read last: a sum that falls and comes back is a jump to Prometheus."""
    scan, stays, fails = scanner(), fake(1), fake(5)
    assert total(scan, stays, fails) == 6
    told, fails.told = fails.told, ValueError("broken")
    assert total(scan, stays, fails) == 6
    assert total(scan, stays, fails) == 6
    fails.told = told
    assert total(scan, stays, fails) == 6
    fails.told = ValueError("broken")
    assert total(scan, stays, fails) == 6
    assert total(scan, stays) == 6


def test_what_leaves_while_a_scan_looks_what_there_is_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found, and gone before it is read; another scan has seen that meanwhile."""
    sampler, stays, leaves = ConcurrencyMonitor()._sampler, Limiter("api", max_running=9), Limiter("api", max_running=9)
    for limiter in (stays, leaves, leaves):
        limiter.acquire_nowait()

    def acquired_in_all() -> int:
        readings = [*(scan := sampler.scan()), *scan.gone]
        return sum(each.statistics.acquired for each in readings if each.name == "api")

    def looked() -> tuple[Resource, ...]:
        found = resources()
        leave_resource(leaves)
        if len(found) > len(resources()):
            assert acquired_in_all() == 3
        return found

    assert acquired_in_all() == 3
    monkeypatch.setattr("penstock_monitoring._reading.sampler.resources", looked)
    assert acquired_in_all() == 3
    assert acquired_in_all() == 3


def test_scans_at_once_count_nothing_twice() -> None:
    """One that saw a resource before it left, and ends after another that did not, has it once."""
    scan, stays, leaves = scanner(), fake(1), fake(5)
    assert total(scan, stays, leaves) == 6
    slow = scan.scan([leaves, stays])
    readings = iter(slow)
    seen = [next(readings)]

    assert total(scan, stays) == 6
    seen += readings
    assert sum(each.statistics.acquired for each in [*seen, *slow.gone]) == 6
    assert total(scan, stays) == 6


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("make"), st.sampled_from("ab")),
            st.tuples(st.just("count"), st.integers(0, 9)),
            st.tuples(st.just("leave"), st.integers(0, 9)),
            st.tuples(st.just("scan"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_the_sum_of_a_name_is_what_all_counted_since_it_came(steps: list[tuple[str, Any]]) -> None:
    """Whatever comes, counts and goes, if it is seen before it goes."""
    scan = scanner()
    live: list[Fake] = []
    expected: dict[str, int] = {}
    for step, what in steps:
        if step == "make":
            live.append(fake(0, what))
            expected.setdefault(what, 0)
        elif live and step == "count":
            chosen = live[what % len(live)]
            chosen.told = Counted(chosen.told.acquired + 1)
            expected[chosen.name] += 1
        elif live and step == "leave":
            list(scan.scan(live))
            del live[what % len(live)]
        there = {each.name for each in live}
        expected = {name: count for name, count in expected.items() if name in there}
        told = dict.fromkeys(there, 0)
        looked = scan.scan(live)
        for each in [*looked, *looked.gone]:
            told[each.name] += each.statistics.acquired
        assert told == expected


def test_an_alert_knows_what_was_counted_by_those_that_are_gone() -> None:
    """It is pending while they leave, and told all the same."""
    stays, goes = fake(1000), fake(5)
    told: list[Alert] = []
    measure = Growth(ACQUIRED, over=60)
    rule = AlertRule("Many", "warning", "{name}", "Many.", "- Wait.", measure=measure, limit=3, pending=15)
    watch, scan, clock = Watch([rule], told.append), scanner(), ManualClock()
    for found in ([stays, goes], [stays, goes], [stays], [stays]):
        look = scan.scan(found)
        readings = [*look]
        list(watch.steps([*readings, *look.gone], {}, clock()))
        goes.told = Counted(10)
        clock.advance(10)
    assert [(each.state, each.value) for each in told] == [("active", 5)]


async def test_a_snapshot_shows_only_what_is_there() -> None:
    """What is gone is in sums, and on no page."""
    stays = Limiter("api", max_running=10)
    async with ConcurrencyMonitor(interval=0.01) as monitor:
        goes = Limiter("api", max_running=10)
        await until(lambda: len([each for each in monitor.snapshot().resources if each.name == "api"]) == 2)
        number = monitor.snapshot().process.samples
        leave_resource(goes)
        await until(lambda: monitor.snapshot().process.samples > number + 1)
        seen = await asyncio.to_thread(monitor.snapshot)
    assert [each.statistics for each in seen.resources if each.name == "api"] == [stays.statistics()]


class Odd(Fake):
    @property
    def kind(self) -> str:
        raise RuntimeError("none")

    @kind.setter
    def kind(self, _kind: str) -> None: ...


def test_what_fails_when_it_is_asked_for_its_kind_is_unreadable() -> None:
    """And hides nobody."""
    scan = scanner()
    assert total(scan, Odd("", "odd", None), fake(2)) == 2
    assert scan.unreadable == 1


def test_what_fails_when_it_is_asked_for_its_kind_hides_nothing_that_is_tracked_by_hand() -> None:
    """Which is shown unless there is a resource of this kind and name."""
    monitor = ConcurrencyMonitor()
    monitor.track_semaphore_usage("mine", 1, 2)
    monitor.track_semaphore_usage("api", 1, 2)
    with Odd("", "odd", None), fake(3):
        seen = [each for each in monitor.snapshot().resources if each.name in ("mine", "api")]
    assert sorted((each.name, each.statistics.max_running) for each in seen) == [("api", 4), ("mine", 2)]


def test_what_fails_when_it_is_asked_for_its_tree_is_read_all_the_same() -> None:
    """It has none to show."""

    class Fails(Fake):
        @property
        def tree(self) -> object:
            raise RuntimeError("none")

    look = scanner().scan([Fails("limiter", "api", Counted(1)), fake(2)])
    assert sum(each.statistics.acquired for each in look) == 3
    assert look.trees == []


def test_nothing_is_kept_alive_by_having_been_read() -> None:
    """A monitor only looks."""
    registry, limiter = collected(), Limiter("short-lived", max_running=1)
    assert acquired(registry, "short-lived") == 0
    del limiter
    gc.collect()
    assert "short-lived" not in {each.name for each in resources()}
