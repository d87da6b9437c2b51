"""When an alert becomes active, and when it is resolved; in time that is turned by hand."""

from __future__ import annotations

import math
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from penstock_limits import ConfigurationError
from penstock_monitoring import Alert, AlertRule, ResourceReading
from penstock_monitoring._alerts.defaults import default_alerts, exhaustion
from penstock_monitoring._alerts.measures import Growth, Latest, Ratio, terms
from penstock_monitoring._alerts.watch import RESOLVED, Watch
from penstock_monitoring._registry.catalogue import metric_of

QUEUED = Latest(metric_of("limiter", "queued"))
REJECTED = Growth(metric_of("limiter", "rejected"))


def rule(**settings: Any) -> AlertRule:
    given = {"measure": QUEUED, "limit": 10.0, "quiet": 0.0} | settings
    return AlertRule("TooMany", "warning", "{name} has {value}.", "meaning", "remedy", **given)


class Bench:
    """A watch, and the resources that it sees."""

    def __init__(self, *rules: AlertRule) -> None:
        self.told: list[Alert] = []
        self.now = 0.0
        self.watch = Watch(rules, self.told.append, wall=lambda: 1_000_000 + self.now)

    def see(self, at: float, *resources: Any, **tracks: float) -> None:
        """Let it look at statistics of limiters, or at shares of limits that are in use."""
        self.now = at
        readings = [ResourceReading("limiter", getattr(each, "name", "api"), each) for each in resources]
        shares: Any = {("limiter", name): SimpleNamespace(share=share) for name, share in tracks.items()}
        readings += [ResourceReading("limiter", name, SimpleNamespace()) for name in tracks]
        deque(self.watch.steps(readings, shares, at), maxlen=0)

    def states(self) -> list[str]:
        return [f"{alert.resource} {alert.state}" for alert in self.told]


def queued(number: Any, name: str = "api") -> Any:
    return SimpleNamespace(queued=number, name=name)


def rejected(number: int, name: str = "api") -> Any:
    return SimpleNamespace(rejected=number, name=name)


def test_an_alert_is_told_of_once_and_so_is_its_end() -> None:
    """However often it is looked at."""
    bench = Bench(rule())
    for at, number in enumerate((5, 11, 12, 13, 9, 9)):
        bench.see(at, queued(number))

    first, last = bench.told
    assert (first.state, first.value, first.since, first.until) == ("active", 11.0, 1_000_001, None)
    assert (last.state, last.value, last.since, last.until) == ("resolved", 13.0, 1_000_001, 1_000_004)
    assert first.summary == "api has 11."


def test_it_must_be_so_for_a_while() -> None:
    """A moment that is in order begins the while anew."""
    bench = Bench(rule(pending=60.0))
    for at, number in ((0, 11), (30, 11), (58, 11), (59, 5), (61, 11), (120, 11)):
        bench.see(at, queued(number))
    assert bench.told == []

    bench.see(122, queued(11))

    assert bench.states() == ["api active"]


def test_it_must_be_in_order_for_a_while() -> None:
    """Back beyond where it clears, it goes on as if nothing had been."""
    bench = Bench(rule(clears=5.0, quiet=60.0))
    bench.see(0, queued(11))
    for at, number in ((10, 4), (60, 4), (65, 6), (70, 4), (129, 4)):
        bench.see(at, queued(number))
    assert bench.states() == ["api active"]

    bench.see(130, queued(4))

    assert bench.states() == ["api active", "api resolved"]


def test_between_the_limits_an_alert_stays_what_it_is() -> None:
    """Not active if it was not, and not resolved if it was."""
    bench = Bench(rule(clears=5.0))
    bench.see(0, queued(8))
    assert bench.told == []

    for at, number in ((1, 11), (2, 8), (3, 6), (4, 9)):
        bench.see(at, queued(number))

    assert bench.states() == ["api active"]


@pytest.mark.parametrize(
    ("compare", "clears", "amiss", "between", "well"),
    [
        (">", 5.0, 11, 6, 5),
        (">=", 5.0, 10, 6, 5),
        ("<", 15.0, 9, 12, 15),
        (">", None, 11, 11, 10),
        ("<", None, 9, 9, 10),
    ],
)
def test_each_way_to_compare_has_its_way_back(
    compare: str, clears: float | None, amiss: float, between: float, well: float
) -> None:
    """Below, above, and at the limit."""
    bench = Bench(rule(compare=compare, clears=clears))
    bench.see(0, queued(well))
    bench.see(1, queued(amiss))
    bench.see(2, queued(between))
    assert bench.states() == ["api active"]

    bench.see(3, queued(well))

    assert bench.states() == ["api active", "api resolved"]


def test_each_resource_has_alerts_of_its_own() -> None:
    """And is named in them."""
    bench = Bench(rule())
    bench.see(0, queued(11, "one"), queued(5, "other"))
    bench.see(1, queued(11, "one"), queued(11, "other"))
    bench.see(2, queued(5, "one"), queued(11, "other"))

    assert bench.states() == ["one active", "other active", "one resolved"]
    assert [(alert.resource, alert.state) for alert in bench.watch.alerts] == [("other", "active"), ("one", "resolved")]


def test_resources_of_one_name_are_one() -> None:
    """As they are in a scrape."""
    bench = Bench(rule())
    bench.see(0, queued(6), queued(6))

    assert [alert.value for alert in bench.told] == [12.0]


def test_what_is_gone_is_in_order() -> None:
    """Nobody waits for it any more."""
    bench = Bench(rule())
    bench.see(0, queued(11))
    bench.see(1)

    assert bench.states() == ["api active", "api resolved"]


def test_what_cannot_be_told_is_not_amiss() -> None:
    """Statistics of somebody else's may lack a field, or hold what is no number."""
    bench = Bench(rule(), AlertRule("Low", "warning", "s", "m", "r", measure=QUEUED, compare="<", limit=5.0))
    bench.see(0, SimpleNamespace(), queued("many", "text"), queued(math.nan, "nan"))

    assert bench.told == []


def test_a_counter_is_watched_over_the_time_of_the_rule() -> None:
    """What was counted before is forgotten as time goes on."""
    bench = Bench(rule(measure=REJECTED, limit=0))
    bench.see(0, rejected(100))
    bench.see(60, rejected(103))
    for at in range(120, 360, 60):
        bench.see(at, rejected(103))
    assert bench.states() == ["api active"]

    bench.see(360, rejected(103))

    assert bench.states() == ["api active", "api resolved"]
    assert bench.told[0].value == 3.0


def test_a_counter_that_falls_is_another_one() -> None:
    """It counts from there; what it had counted is no growth."""
    bench = Bench(rule(measure=REJECTED, limit=5))
    for at, number in ((0, 1000), (60, 3), (120, 8)):
        bench.see(at, rejected(number))
    assert bench.told == []

    bench.see(180, rejected(9))

    assert [alert.value for alert in bench.told] == [6.0]


def test_what_comes_while_we_watch_has_counted_all_of_it_lately() -> None:
    """But not what was there before we did."""
    bench = Bench(rule(measure=REJECTED, limit=5))
    bench.see(0, rejected(100, "old"))
    bench.see(60, rejected(100, "old"), rejected(7, "new"))

    assert [(alert.resource, alert.value) for alert in bench.told] == [("new", 7.0)]


def test_what_is_missing_for_a_moment_is_not_new() -> None:
    """A resource that could not be read once has not counted everything since."""
    bench = Bench(rule(measure=REJECTED, limit=5))
    bench.see(0, rejected(100))
    bench.see(60)
    bench.see(120, rejected(101))

    assert bench.told == []


def test_counters_of_what_is_gone_are_let_go_of() -> None:
    """What is kept does not grow with what comes and goes."""
    bench = Bench(rule(measure=REJECTED, limit=5))
    for at in range(0, 6000, 60):
        bench.see(at, rejected(1, f"limiter-{at}"))

    assert len(bench.watch._counters) <= 12


def test_a_share_of_the_time_is_growth_by_the_second() -> None:
    """Two hundred seconds of the last three hundred are two thirds."""
    bench = Bench(rule(measure=Growth(metric_of("limiter", "wait_seconds"), per_second=True), limit=0.5))
    for at in range(0, 301, 60):
        bench.see(at, SimpleNamespace(wait_seconds=at * 2 / 3))

    assert bench.told[-1].state == "active"
    assert bench.watch.alerts[0].value == pytest.approx(2 / 3)


@pytest.mark.parametrize(("waits", "ratio"), [((60, 20), 3.0), ((60, 0), math.inf), ((0, 0), None)])
def test_one_counter_by_another_is_as_in_promql(waits: tuple[int, int], ratio: float | None) -> None:
    """Something of nothing is without end, nothing of nothing is not known."""
    per = Ratio(Growth(metric_of("limiter", "wait_seconds")), Growth(metric_of("limiter", "waited")))
    bench = Bench(rule(measure=per, limit=2))
    bench.see(0, SimpleNamespace(wait_seconds=0.0, waited=0))
    bench.see(60, SimpleNamespace(wait_seconds=float(waits[0]), waited=waits[1]))

    assert [alert.value for alert in bench.told] == ([] if ratio is None else [ratio])


def test_a_value_without_end_is_no_number_in_json() -> None:
    """So it is null."""
    bench = Bench(rule())
    bench.see(0, queued(math.inf))

    assert bench.told[0].as_dict()["value"] is None


def test_how_much_is_in_use_is_watched_whatever_the_kind() -> None:
    """At each sample; it is resolved below nine tenths of the threshold."""
    bench = Bench(exhaustion("db", 0.8))
    for at, share in enumerate((0.5, 0.8, 0.75, 0.72, 0.5)):
        bench.see(at, db=share, other=1.0)

    assert bench.states() == ["db active", "db resolved"]
    assert bench.told[1].until == 1_000_003


def test_a_rule_may_be_for_one_resource() -> None:
    """Beside the one for all of them."""
    bench = Bench(rule(), rule(resource="api", limit=2.0))
    bench.see(0, queued(5), queued(5, "other"))

    assert [(alert.resource, alert.limit) for alert in bench.told] == [("api", 2.0)]


def test_a_threshold_that_is_given_again_replaces_the_first() -> None:
    """The last word counts."""
    bench = Bench(exhaustion("db", 0.5))
    bench.watch.add(exhaustion("db", 0.9))
    bench.see(0, db=0.7)

    assert bench.told == []


def test_a_rule_is_looked_at_as_often_as_it_has_to_be() -> None:
    """Sixty times in its time; in between nothing is read."""
    bench = Bench(rule(pending=600.0))
    bench.see(0, queued(5))

    assert list(bench.watch.steps(iter([ResourceReading("limiter", "api", queued(5))]), {}, 9.9)) == []
    assert list(bench.watch.steps(iter([ResourceReading("limiter", "api", queued(5))]), {}, 10.0)) == [None]


def test_others_are_let_in_after_each_resource() -> None:
    """A thousand resources do not hold the loop in one piece."""
    bench = Bench(rule())
    readings = [ResourceReading("limiter", f"limiter-{number}", queued(5)) for number in range(1000)]

    assert len(list(bench.watch.steps(readings, {}, 0.0))) == 1000


def test_what_was_resolved_is_shown_for_a_while() -> None:
    """The latest first, and not without end."""
    bench = Bench(rule())
    for number in range(RESOLVED + 10):
        bench.see(number, queued(11, f"limiter-{number}"))
    bench.see(100)
    assert len(bench.watch.alerts) == RESOLVED
    assert bench.watch.alerts[0].until == 1_000_100

    bench.now = 2000

    assert bench.watch.alerts == ()


def test_two_rules_of_one_name_are_refused() -> None:
    """Nobody could tell their alerts apart."""
    with pytest.raises(ConfigurationError, match="two rules of the name 'TooMany'"):
        Bench(rule(), rule(limit=5.0))


def test_what_grew_while_nobody_looked_is_nothing_new() -> None:
    """An hour's rejections are not those of the last five minutes, and what was pending may have been over."""
    told: list[Alert] = []
    (rejects,) = [rule for rule in default_alerts() if rule.name == "PenstockPoolRejects"]
    watch = Watch([rejects], told.append)
    metric = terms(rejects.measure)[0].metric  # type: ignore[union-attr]

    def look(value: int, now: float) -> None:
        statistics = SimpleNamespace(**{metric.field: value})
        list(watch.steps([ResourceReading("pool", "main", statistics)], {}, now))

    look(0, 0.0)
    watch.resume()
    look(1000, 200.0)
    for step in range(100):
        look(1000, 205.0 + 5 * step)

    assert told == []
    look(1001, 800.0)
    look(1001, 1100.0)
    assert [alert.state for alert in told][:1] == ["active"]
