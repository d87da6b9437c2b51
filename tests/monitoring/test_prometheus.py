"""What Prometheus is told of one process."""

from __future__ import annotations

import gc
import math
import threading
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import penstock_limits
import pytest
from penstock_limits import CircuitBreaker, Limiter, Mode, Policy, Rate, RateLimiter
from penstock_monitoring import METRICS, ConcurrencyMonitor, PrometheusCollector
from penstock_monitoring._reading.series import Names, series_of
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.monitoring.helpers import Fake, Numbers, until


class Scrape:
    """The samples of a scrape, by name and labels."""

    def __init__(self, monitor: ConcurrencyMonitor | None = None) -> None:
        registry = CollectorRegistry()
        PrometheusCollector(monitor).register(registry)
        self.text = generate_latest(registry).decode()
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def get(self, name: str, /, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))


def test_a_limiter_is_shown_when_it_is_scraped() -> None:
    """Nothing is recorded before."""
    limiter = Limiter("api", max_running=3, max_queued=7)
    limiter.acquire_nowait()

    seen = Scrape()

    assert seen.get("penstock_limiter_running", name="api") == 1
    assert seen.get("penstock_limiter_limit", name="api") == 3
    assert seen.get("penstock_limiter_queue_limit", name="api") == 7
    assert seen.get("penstock_limiter_acquired_total", name="api") == 1
    assert seen.get("penstock_limiter_info", name="api", mode="enforce") == 1


def test_what_is_not_known_is_absent() -> None:
    """It is not 0."""
    limiter = Limiter("endless", max_running=3)

    assert Scrape().get("penstock_limiter_queue_limit", name=limiter.name) is None


def test_states_are_one_of_several() -> None:
    """1 for that which it is in."""
    breaker = CircuitBreaker("api")

    seen = Scrape()

    states = {
        each: seen.get("penstock_breaker_state", name=breaker.name, state=each)
        for each in ("closed", "open", "half_open")
    }
    assert states == {"closed": 1, "open": 0, "half_open": 0}


def test_a_rate_is_shown_by_what_it_counts() -> None:
    """Each dimension has its series."""
    rate = RateLimiter("openai", requests=Rate(60), tokens=Rate(90_000))

    seen = Scrape()

    assert seen.get("penstock_rate_limit", name=rate.name, dimension="tokens") == 90_000
    assert seen.get("penstock_rate_period_seconds", name=rate.name, dimension="requests") == 60


def test_what_ended_is_told_apart_by_how() -> None:
    """One metric, several fields."""
    policy = Policy("api")

    seen = Scrape()

    assert {
        seen.get("penstock_policy_attempts_total", name=policy.name, outcome=each)
        for each in ("succeeded", "ignored", "dropped")
    } == {0}


def test_modes_and_phases_of_capabilities_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off, observe and enforce side by side, and which environment says so."""
    source = SimpleNamespace(
        mode=lambda capability: "observe",
        snapshot=SimpleNamespace(environment="canary", modes=MappingProxyType({"bounded-fanout": "observe"})),
    )
    penstock_limits.set_mode_source(source)
    monkeypatch.setenv("PENSTOCK_MODE_PROVIDER_RATES", "enforce")

    seen = Scrape()

    assert seen.get("penstock_capability_mode", capability="bounded-fanout", mode="observe") == 1
    assert seen.get("penstock_capability_mode", capability="bounded-fanout", mode="off") == 0
    assert seen.get("penstock_capability_mode", capability="provider-rates", mode="enforce") == 1
    assert seen.get("penstock_capability_mode", capability="async-http", mode="off") is None
    assert seen.get("penstock_flag_info", environment="canary", source="SimpleNamespace") == 1
    assert seen.get("penstock_phase_info", phase="1", capability="bounded-fanout") == 1


@pytest.mark.parametrize(
    ("where", "label"),
    [("LaunchDarkly", "LaunchDarkly"), ("defaults", "defaults"), ("/srv/agents/flags.toml", "flags.toml")],
)
def test_it_is_shown_where_modes_come_from(where: str, label: str) -> None:
    """Of a file its name: the rest of the path is the machine's."""
    snapshot = SimpleNamespace(environment="canary", source=where, modes={"bounded-fanout": "observe"})
    penstock_limits.set_mode_source(SimpleNamespace(mode=lambda capability: "observe", snapshot=snapshot))

    assert Scrape().get("penstock_flag_info", environment="canary", source=label) == 1


def test_a_source_is_not_asked_for_what_it_does_not_know(caplog: pytest.LogCaptureFixture) -> None:
    """It would be logged as a mistake."""
    asked = []
    source = SimpleNamespace(
        mode=lambda capability: asked.append(capability) or "off", snapshot=SimpleNamespace(modes={"async-http": "off"})
    )
    penstock_limits.set_mode_source(source)

    Scrape()

    assert set(asked) == {"async-http"}
    assert caplog.records == []


async def test_a_monitor_adds_what_samples_say() -> None:
    """Hold times and the lag of loops; without one they are absent."""
    limiter = Limiter("api", max_running=3)
    limiter.acquire_nowait()
    async with ConcurrencyMonitor(interval=0.01, window=1) as monitor:
        await until(lambda: monitor.snapshot().process.samples > 2)

        assert Scrape(monitor).get("penstock_limiter_hold_seconds_total", name="api")
        assert Scrape(monitor).get("penstock_loop_lag_seconds", loop="main", quantile="0.99") is not None
        assert Scrape(monitor).get("penstock_monitor_samples_total")
    assert Scrape().get("penstock_limiter_hold_seconds_total", name="api") is None


def test_resources_of_one_name_are_added_up() -> None:
    """Two series of one name would fail the scrape; longest times are not added."""
    told = Numbers(running=2, max_running=5)
    with Fake("limiter", "api", told), Fake("limiter", "api", SimpleNamespace(running=1, longest_wait=3.0, mode="off")):
        seen = Scrape()

    assert seen.get("penstock_limiter_running", name="api") == 3
    assert seen.get("penstock_limiter_wait_longest_seconds", name="api") == 3


def test_fields_that_are_no_numbers_or_missing_are_left_out() -> None:
    """Statistics of another version harm nobody."""
    with Fake("limiter", "odd", SimpleNamespace(running="many")), Fake("reactor", "core", 3):
        seen = Scrape()

    assert seen.get("penstock_limiter_running", name="odd") is None
    assert "reactor" not in seen.text


def test_names_beyond_the_cap_are_one() -> None:
    """Their numbers are added up, and those that were first keep their series."""
    names = Names(most=2)
    readings = [SimpleNamespace(kind="limiter", name=name, statistics=Numbers()) for name in "bcd"]
    first = series_of(readings, {}, names)["penstock_limiter_running"]
    another = SimpleNamespace(kind="limiter", name="a", statistics=Numbers())

    later = series_of([another, *readings], {}, names)["penstock_limiter_running"]
    fewer = series_of([another, readings[1]], {}, names)["penstock_limiter_running"]

    assert first == {("b",): 1, ("c",): 1, ("other",): 1}
    assert later == {("b",): 1, ("c",): 1, ("other",): 2}
    assert fewer == {("a",): 1, ("c",): 1}


def test_both_formats_are_well_formed() -> None:
    """Their own parsers read them, types and all."""
    kept = [Limiter("api", max_running=3), RateLimiter("r", requests=Rate(1)), CircuitBreaker("b"), Policy("p")]
    registry = CollectorRegistry()
    PrometheusCollector().register(registry)

    plain = {family.name: family.type for family in text_string_to_metric_families(generate_latest(registry).decode())}
    openmetrics = list(parse_openmetrics(generate_openmetrics(registry).decode()))

    assert plain["penstock_limiter_running"] == "gauge"
    assert plain["penstock_limiter_acquired"] == "counter"
    assert {family.name for family in openmetrics} >= {"penstock_limiter", "penstock_limiter_wait_seconds"}
    assert {family.unit for family in openmetrics} == {"", "seconds"}
    assert len(kept) == 4


def test_every_metric_is_described() -> None:
    """So a registry knows a collision before the first scrape."""
    registry = CollectorRegistry()
    PrometheusCollector().register(registry)

    assert len(list(PrometheusCollector().describe())) == len({metric.name for metric in METRICS})
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusCollector().register(registry)


def test_scrapes_in_several_threads_at_once_do_not_disturb_each_other() -> None:
    """While limiters come and go."""
    registry = CollectorRegistry()
    PrometheusCollector().register(registry)
    failed: list[BaseException] = []

    def scrape() -> None:
        try:
            for _ in range(10):
                generate_latest(registry)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=scrape) for _ in range(3)]
    for thread in threads:
        thread.start()
    kept = []
    while any(thread.is_alive() for thread in threads):
        kept = [Limiter(f"l{number}", max_running=1) for number in range(50)]
    for thread in threads:
        thread.join()

    assert failed == []
    assert len(kept) <= 50


def test_a_limiter_that_follows_its_capability_shows_the_mode_of_now() -> None:
    """And only that."""
    limiter = Limiter("api", max_running=3, mode=None)

    seen = Scrape()

    assert seen.get("penstock_limiter_info", name=limiter.name, mode=str(Mode.OFF)) == 1
    assert seen.get("penstock_limiter_info", name=limiter.name, mode="enforce") is None


@pytest.mark.parametrize(("variable", "overridden"), [("enforce", 1), ("observe", 0), ("", 0)])
def test_a_variable_that_overrides_a_flag_is_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, overridden: int
) -> None:
    """One that says the same does not."""
    penstock_limits.set_mode_source(SimpleNamespace(mode=lambda capability: "observe"))
    monkeypatch.setenv("PENSTOCK_MODE_ASYNC_HTTP", variable)

    assert Scrape().get("penstock_capability_overridden", capability="async-http") == overridden


def test_a_variable_overrides_nothing_where_there_are_no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where they cannot tell."""
    monkeypatch.setenv("PENSTOCK_MODE", "enforce")
    assert Scrape().get("penstock_capability_overridden", capability="async-http") == 0

    penstock_limits.set_mode_source(SimpleNamespace(mode=lambda capability: 1 / 0))

    assert Scrape().get("penstock_capability_overridden", capability="async-http") == 0


async def test_a_resource_that_is_gone_is_not_counted_as_another() -> None:
    """`other` is for names beyond the most that there may be, not for those that samples remember."""
    registry = CollectorRegistry()
    limiter = Limiter("gone", max_running=1)
    async with ConcurrencyMonitor(interval=0.01, window=60) as monitor:
        PrometheusCollector(monitor).register(registry)
        await until(lambda: monitor.snapshot().process.samples > 2)
        assert 'penstock_limiter_hold_seconds_total{name="gone"}' in generate_latest(registry).decode()
        del limiter
        gc.collect()
        text = generate_latest(registry).decode()

    assert 'name="gone"' not in text
    assert 'name="other"' not in text


def test_a_name_that_is_no_text_does_not_end_the_scrape() -> None:
    """Names of files may hold bytes that are none."""
    registry = CollectorRegistry()
    limiter = Limiter("caf\udce9", max_running=1)
    PrometheusCollector().register(registry)

    assert 'name="caf?"' in generate_latest(registry).decode()
    assert limiter.name == "caf\udce9"


def samples_of(text: str) -> list[tuple[str, str, str, list[object]]]:
    return [
        (
            family.name,
            family.type,
            family.documentation,
            [(s.name, s.labels, repr(float(s.value))) for s in family.samples],
        )
        for family in text_string_to_metric_families(text)
    ]


async def test_what_is_rendered_is_what_the_library_would_write() -> None:
    """Types, helps, labels with whatever is in names, and values."""
    registry = CollectorRegistry()
    kept = [
        Limiter('a "quoted" \\ name\nof two lines, {braces} and =', max_running=2),
        Limiter("größe", max_running=10**30),
        RateLimiter("openai", requests=Rate(5), tokens=Rate(1e9)),
        CircuitBreaker("openai"),
    ]
    with Fake("pool", "odd", SimpleNamespace(active=math.nan, idle=math.inf, pending=-math.inf)):
        async with ConcurrencyMonitor(interval=60, window=60) as monitor:
            collector = PrometheusCollector(monitor).register(registry)
            series = monitor._series(Names())
            monitor._series = lambda _: series  # type: ignore[method-assign] - both are to show the same moment
            theirs, ours = generate_latest(registry).decode(), collector.render().decode()

    assert samples_of(ours) == samples_of(theirs)
    assert len(samples_of(ours)) > 30
    assert len(kept) == 4


def test_what_is_rendered_tells_processes_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the label that the library's way has."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    kept = Limiter("shared", max_running=1)

    text = PrometheusCollector().render().decode()

    assert f'penstock_limiter_limit{{name="{kept.name}",worker="0"}} 1\n' in text
