"""Looks at what was sampled, rule by rule: who is amiss, since when, and who is in order again."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock_limits import ConfigurationError

from penstock_monitoring._alerts.measures import Growth, Latest, Measure, Term, Used, value_of
from penstock_monitoring._alerts.rule import Alert, AlertRule
from penstock_monitoring._reading.read import ResourceReading
from penstock_monitoring._reading.track import Track
from penstock_monitoring._registry.metric import Metric

__all__ = ["REMEMBERED", "RESOLVED", "Watch"]

RESOLVED: Final = 50  # alerts that are shown after they were resolved
REMEMBERED: Final = 900.0  # seconds for which they are
_POINTS: Final = 20  # of a counter, in the time that a rule looks back on

_Key = tuple[str, str]  # kind and name
_Counters = dict[tuple[int, str], "_Counter"]  # by the term's identity, which they keep, and the resource's name
_RuleKey = tuple[str, str]  # the rule's name, and the one resource that it is for


@dataclass(slots=True)
class _State:
    """What a rule knows of a resource that is amiss.

    Attributes:
        since: When it began, by the clock.
        alert: What has been told; None while it is pending.
        calm: Since when it has been in order again.
    """

    since: float
    alert: Alert | None = None
    calm: float | None = None


class Watch:
    """Applies rules to samples; each is told of once when it becomes active, and once when it is resolved.

    Args:
        rules: The rules; what only Prometheus can tell is passed over.
        tell: Called with each alert that has become active or resolved; must neither wait nor fail.
        wall: Says the time in Unix seconds.

    Raises:
        ConfigurationError: Two rules of one name are for the same resource.
    """

    def __init__(
        self, rules: Iterable[AlertRule], tell: Callable[[Alert], None], wall: Callable[[], float] = time.time
    ) -> None:
        self._rules: dict[_RuleKey, AlertRule] = {}
        for rule in rules:
            key = (rule.name, rule.resource)
            if key in self._rules:
                raise ConfigurationError(f"alerts: there are two rules of the name {rule.name!r} for the same resource")
            self._rules[key] = rule
        self._tell = tell
        self._wall = wall
        self._due: dict[_RuleKey, float] = {}
        self._states: dict[tuple[_RuleKey, _Key], _State] = {}
        self._counters: _Counters = {}
        self._resolved: deque[Alert] = deque(maxlen=RESOLVED)
        self._begun = False

    def add(self, rule: AlertRule) -> None:
        """Apply a rule from now on, in place of the one of its name and resource; in any thread."""
        self._rules = {**self._rules, (rule.name, rule.resource): rule}

    def resume(self) -> None:
        """Begin anew after a time in which nobody looked: what is active stays so, how the rest was is not known."""
        self._counters = {}
        self._states = {where: replace(state, calm=None) for where, state in self._states.items() if state.alert}
        self._begun = False

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What is active, and then what was resolved lately; in any thread."""
        active = [state.alert for state in self._states.copy().values() if state.alert is not None]
        late = self._wall() - REMEMBERED
        resolved = [alert for alert in reversed(self._resolved.copy()) if alert.until is None or alert.until > late]
        return (*sorted(active, key=lambda alert: (alert.severity, alert.name, alert.kind, alert.resource)), *resolved)

    def steps(self, readings: Iterable[ResourceReading], tracks: Mapping[_Key, Track], now: float) -> Iterator[None]:
        """Look at all that is due, a little in each step.

        Args:
            readings: What there is.
            tracks: What samples say of it.
            now: The time, by any clock that does not go back.

        Yields:
            After each resource, so that others can be let in.
        """
        due = self._take_due(now)
        if not due:
            return
        groups, by_kind = _groups(readings, due), _by_kind(due)
        for key, group in groups.items():
            look = _Look(self._counters, key[1], group, tracks.get(key), now, self._begun)
            for rule, measure in by_kind.get(key[0], by_kind[""]):
                if rule.resource in ("", key[1]):
                    self._judge(rule, key, value_of(measure, look), now)
            yield
        self._miss({(rule.name, rule.resource) for rule in due}, groups, now)
        self._begun = True

    def _take_due(self, now: float) -> list[AlertRule]:
        due = []
        for key, rule in self._rules.items():
            if rule.measure is not None and now >= self._due.get(key, -math.inf):
                self._due[key] = now + rule.every
                due.append(rule)
        return due

    def _miss(self, rules: set[_RuleKey], seen: Mapping[_Key, object], now: float) -> None:
        """Take what was not seen for being in order, and let go of counters that are no longer looked at."""
        for rule_key, key in list(self._states):
            if rule_key in rules and key not in seen:
                self._judge(self._rules[rule_key], key, math.nan, now)
        for counted in [each for each, counter in self._counters.items() if counter.last < now - 2 * counter.term.over]:
            del self._counters[counted]

    def _judge(self, rule: AlertRule, key: _Key, value: float, now: float) -> None:
        where = ((rule.name, rule.resource), key)
        state = self._states.get(where)
        if state is None:
            if not rule.fires(value):
                return
            state = self._states[where] = _State(now)
        if state.alert is None:
            self._consider(rule, where, state, value, now)
        elif not rule.calms(value):
            state.calm = None
            if not math.isnan(value):
                state.alert = replace(state.alert, value=value)
        else:
            state.calm = now if state.calm is None else state.calm
            if now - state.calm >= rule.quiet:
                del self._states[where]
                self._resolve(state.alert)

    def _consider(self, rule: AlertRule, where: tuple[_RuleKey, _Key], state: _State, value: float, now: float) -> None:
        """Of what is pending: forget it, or tell it if it has lasted."""
        if not rule.fires(value):
            del self._states[where]
        elif now - state.since >= rule.pending:
            kind, name = where[1]
            state.alert = Alert(
                name=rule.name,
                severity=rule.severity,
                kind=kind,
                resource=name,
                state="active",
                value=value,
                limit=rule.limit,
                since=self._wall(),
                until=None,
                summary=rule.said(name, value),
                runbook=rule.anchor,
            )
            self._tell(state.alert)

    def _resolve(self, alert: Alert) -> None:
        resolved = replace(alert, state="resolved", until=self._wall())
        self._resolved.append(resolved)
        self._tell(resolved)


def _by_kind(rules: list[AlertRule]) -> dict[str, list[tuple[AlertRule, Measure]]]:
    """Return the rules for each kind, those for any among them; of a kind that has none, under no name."""
    kinds = {rule.kind for rule in rules} | {""}
    return {
        kind: [(rule, rule.measure) for rule in rules if rule.measure is not None and rule.kind in ("", kind)]
        for kind in kinds
    }


def _groups(readings: Iterable[ResourceReading], rules: list[AlertRule]) -> dict[_Key, list[ResourceReading]]:
    """Return those that a rule is for; of several of one name, all."""
    kinds = {rule.kind for rule in rules if not rule.resource}
    names = {rule.resource for rule in rules if rule.resource}
    groups: dict[_Key, list[ResourceReading]] = {}
    for reading in readings:
        if reading.kind in kinds or reading.name in names or "" in kinds:
            groups.setdefault((reading.kind, reading.name), []).append(reading)
    return groups


@dataclass(frozen=True, slots=True)
class _Look:
    """Says what terms are, of one resource."""

    counters: _Counters
    name: str
    group: list[ResourceReading]
    track: Track | None
    now: float
    new: bool

    def __call__(self, term: Term) -> float:
        """Return the value; NaN where it is not known."""
        match term:
            case Latest(metric, state):
                return _value(metric, state, self.group, self.track)
            case Growth():
                return self._growth(term)
            case Used():
                return math.nan if self.track is None else self.track.share

    def _growth(self, term: Growth) -> float:
        value = _value(term.metric, "", self.group, self.track)
        if math.isnan(value):
            return value
        key = (id(term), self.name)  # to hash all that a term is takes longer than the rest
        counter = self.counters.get(key)
        if counter is None:
            counter = self.counters[key] = _Counter(term, self.now, 0.0 if self.new else value)
        growth = counter.growth(value, self.now)
        return growth / term.over if term.per_second else growth


class _Counter:
    """A counter as it was at some moments; of a resource that comes while we watch, all counts are new."""

    __slots__ = ("_points", "last", "term")

    def __init__(self, term: Growth, now: float, value: float) -> None:
        self._points: deque[tuple[float, float]] = deque([(now, value)])
        self.term = term
        self.last = now

    def growth(self, value: float, now: float) -> float:
        """Return by how much it has grown; where it has fallen, it is another counter and grows from there."""
        points, over, self.last = self._points, self.term.over, now
        if value < points[-1][1]:
            points.clear()
        if not points or now - points[-1][0] >= over / _POINTS:
            points.append((now, value))
        while len(points) > 1 and points[1][0] <= now - over:
            points.popleft()
        return value - points[0][1]


def _value(metric: Metric, state: str, group: list[ResourceReading], track: Track | None) -> float:
    """Return what a metric says of all of one name."""
    if metric.source == "sampled":
        return math.nan if track is None else float(getattr(track, metric.field))
    if len(group) == 1 and not state:
        only = getattr(group[0].statistics, metric.field, None)
        return float(only) if isinstance(only, int | float) else math.nan
    told: list[Any] = [getattr(each.statistics, metric.field, None) for each in group]
    if state:
        return float(state in told) if any(told) else math.nan
    numbers = [value for value in told if isinstance(value, int | float)]
    if not numbers:
        return math.nan
    return float(max(numbers) if metric.merge == "max" else sum(numbers))
