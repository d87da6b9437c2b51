"""The rules are data: complete, made of metrics that there are, and the same for Prometheus and for the process."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from penstock_limits import ConfigurationError
from penstock_monitoring import METRICS, AlertRule, ResourceReading, default_alerts
from penstock_monitoring._alerts.defaults import exhaustion
from penstock_monitoring._alerts.examples import EXAMPLES, MINUTES, Line
from penstock_monitoring._alerts.measures import Growth, Latest, Ratio, promql, span
from penstock_monitoring._alerts.watch import Watch
from penstock_monitoring._registry.catalogue import metric_of
from penstock_monitoring._registry.selector import select
from penstock_monitoring.generate import DATA, render

from tests import prometheus

RULES = {rule.name: rule for rule in default_alerts()}
MEASURED = [name for name, rule in RULES.items() if rule.measure is not None]
REJECTED = Growth(metric_of("limiter", "rejected"))


def rule(**settings: Any) -> AlertRule:
    return AlertRule("TooMany", "warning", "summary", "meaning", "remedy", **({"measure": REJECTED} | settings))


@pytest.mark.parametrize("path", ["alerts.yml", "alerts_test.yml"])
def test_what_is_committed_is_what_the_rules_say(path: str) -> None:
    """If this fails, run `python -m penstock_monitoring.generate`."""
    assert (DATA / path).read_text(encoding="utf-8") == render()[path]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_asks_only_for_metrics_that_there_are(name: str) -> None:
    """And for labels that they have."""
    known = {metric.name for metric in METRICS}

    asked = set(re.findall(r"\bpenstock_\w+", RULES[name].promql()))

    assert asked
    assert asked <= known


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_speaks_of_is_there(name: str) -> None:
    """The metrics that its text names, too."""
    known = {metric.name for metric in METRICS}

    assert set(re.findall(r"`(penstock_\w+)`", RULES[name].meaning + RULES[name].remedy)) <= known


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    """One that fires, and one that does not."""
    assert EXAMPLES.keys() == RULES.keys()


def test_the_files_are_those_of_prometheus() -> None:
    """One alert for each rule, with its name, and two tests of each."""
    rules = yaml.safe_load((DATA / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    tests = yaml.safe_load((DATA / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]

    assert [each["alert"] for each in rules] == list(RULES)
    assert len(tests) == 2 * len(RULES)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    return prometheus.find("promtool", tmp_path_factory.mktemp("promtool"))


def judged(judge: str, *arguments: str, folder: Path = DATA) -> subprocess.CompletedProcess[str]:
    return subprocess.run([judge, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_prometheus_loads_the_rules(judge: str) -> None:
    """`promtool check rules` finds nothing."""
    checked = judged(judge, "check", "rules", "alerts.yml")

    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


@pytest.mark.slow
def test_each_rule_fires_when_it_should_and_only_then(judge: str) -> None:
    """`promtool test rules`, of an hour of values of each."""
    tested = judged(judge, "test", "rules", "alerts_test.yml")

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.slow
@pytest.mark.parametrize("never", [True, False])
def test_the_unit_tests_notice_every_rule_that_is_wrong(judge: str, tmp_path: Path, never: bool) -> None:
    """If none ever fires, and if all always do."""
    rules = yaml.safe_load((DATA / "alerts.yml").read_text(encoding="utf-8"))
    for wrong in rules["groups"][0]["rules"]:
        wrong["expr"] = "vector(1) > 2" if never else "vector(1)"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (tmp_path / "alerts_test.yml").write_text((DATA / "alerts_test.yml").read_text(encoding="utf-8"), encoding="utf-8")

    tested = judged(judge, "test", "rules", "alerts_test.yml", folder=tmp_path)

    assert tested.returncode != 0
    complaints = tested.stdout + tested.stderr
    assert [name for name in RULES if f"{name} {'fires' if never else 'does not fire'}" not in complaints] == []


def minutes(values: str) -> list[float]:
    """Return what promtool makes of `a+bxn`."""
    first, by, times = re.fullmatch(r"([\d.]+)\+([\d.]+)x(\d+)", values).groups()  # type: ignore[union-attr]
    return [float(first) + float(by) * each for each in range(int(times) + 1)]


class Process:
    """What the samples of a process say at one minute after another, made of the same examples."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines = [(line, minutes(line.values)) for line in lines]
        self.kind = lines[0].metric.kind

    def at(self, minute: int) -> tuple[list[ResourceReading], dict[tuple[str, str], Any]]:
        told, sampled = SimpleNamespace(), SimpleNamespace(share=0.0)
        for line, values in self.lines:
            holder = sampled if line.metric.source == "sampled" else told
            value: Any = values[minute]
            if line.metric.states:
                value = line.labels[line.metric.field] if value else "open"
            setattr(holder, line.metric.field, value)
        return [ResourceReading(self.kind, "api", told)], {(self.kind, "api"): sampled}


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("amiss", [True, False])
def test_the_process_says_of_the_same_values_what_prometheus_says(name: str, amiss: bool) -> None:
    """The examples that promtool judges, minute by minute."""
    process = Process(EXAMPLES[name].fires if amiss else EXAMPLES[name].quiet)
    told: list[Any] = []
    watch = Watch([RULES[name]], told.append)

    for minute in range(MINUTES + 1):
        readings, tracks = process.at(minute)
        for _ in watch.steps(readings, tracks, 60.0 * minute):
            pass

    assert [(alert.name, alert.state) for alert in told] == ([(name, "active")] if amiss else [])
    assert [alert.name for alert in watch.alerts] == ([name] if amiss else [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "too many"}, "begins with a capital"),
        ({"severity": "page"}, "allowed are critical, warning"),
        ({"unit": "percent"}, "allowed are count, ratio, seconds, share"),
        ({"measure": None}, "needs a measure"),
        ({"query": "up == 0"}, "needs a measure"),
        ({"compare": "=="}, "allowed are <, >, >="),
        ({"limit": math.inf}, "nothing would be beyond"),
        ({"limit": math.nan}, "nothing would be beyond"),
        ({"pending": -1}, "0 or more"),
        ({"pending": math.nan}, "0 or more"),
        ({"limit": 1, "clears": 2}, "still beyond"),
        ({"compare": "<", "limit": 1, "clears": 0.5}, "still beyond"),
        ({"measure": Ratio(REJECTED, Growth(metric_of("pool", "acquired")))}, "several kinds"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    """With its name, and what is allowed."""
    with pytest.raises(ConfigurationError, match=said):
        dataclasses.replace(rule(), **settings)


def test_a_rule_of_one_resource_asks_for_that_one() -> None:
    """Whatever its name has in it."""
    own = rule(resource='say "hi"\\')

    assert own.promql() == r'increase(penstock_limiter_rejected_total{name="say \"hi\"\\"}[5m]) > 0'


def test_what_only_the_process_can_tell_has_no_promql() -> None:
    """How much of a resource is in use whatever its kind is no metric."""
    assert exhaustion("api", 0.8).promql() == ""


def test_a_selector_names_what_tells_a_metric_from_others() -> None:
    """Its fixed labels, and the state."""
    assert select(metric_of("loop", "p99")) == 'penstock_loop_lag_seconds{quantile="0.99"}'
    assert promql(Latest(metric_of("breaker", "state"), "open"), "api") == (
        'penstock_breaker_state{name="api",state="open"}'
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(86_400, "1d"), (7_200, "2h"), (300, "5m"), (90, "90s"), (0.25, "250ms"), (0, "0ms")]
)
def test_times_are_written_as_promql_has_them(seconds: float, text: str) -> None:
    """In the largest unit that fits."""
    assert span(seconds) == text


def test_a_metric_that_there_is_not_is_no_metric() -> None:
    """A rule with a field that was renamed fails when it is made."""
    with pytest.raises(LookupError, match="'hopes' of a limiter"):
        metric_of("limiter", "hopes")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_it_means_and_what_to_do(name: str) -> None:
    """In sentences, and in steps."""
    each = RULES[name]

    assert each.summary.endswith(".")
    assert each.meaning.endswith(".")
    assert re.fullmatch(r"(- .+\n?(  .+\n?)*)+", each.remedy), each.remedy
