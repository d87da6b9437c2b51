"""A rule says when something is amiss, and what to do; an alert says that it is, of one resource."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Final, Literal, get_args

from penstock_limits import ConfigurationError

from penstock_monitoring._alerts import measures
from penstock_monitoring._alerts.measures import Measure

__all__ = ["RUNBOOK", "Alert", "AlertRule", "Compare", "Severity", "Unit"]

Compare = Literal["<", ">", ">="]
Severity = Literal["critical", "warning"]
Unit = Literal["count", "ratio", "seconds", "share"]

RUNBOOK: Final = "operate/alerts.html"  # within the documentation; each alert has its section
_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_PLACEHOLDER: Final = re.compile(r"{(\w+)}")
_SHOWN: Final[dict[str, Callable[[float], str]]] = {
    "count": lambda value: f"{value:.3g}",
    "ratio": lambda value: f"{value:.2f}",
    "seconds": lambda value: f"{value:.3g} s",
    "share": lambda value: f"{value:.0%}",
}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When something is amiss.

    A rule is looked at in the process, of each resource of its kind, and by Prometheus. What only Prometheus can tell
    has a query instead of a measure. To change one, use `dataclasses.replace`.

    Attributes:
        name: Its name, in CamelCase.
        severity: `critical` if somebody has to come, `warning` if it can wait for the morning.
        summary: In a sentence; `{name}` is the resource, `{value}` the value.
        meaning: What it means.
        remedy: What to do, a list in Markdown.
        measure: What is measured; None if only Prometheus can tell.
        compare: How the value is compared with the limit.
        limit: It is amiss beyond it.
        clears: And in order again when the value is back here, in the process; None for the limit.
        pending: Seconds for which it must be so before anybody is told.
        quiet: Seconds for which it must be in order again before that is told.
        unit: Of the value.
        query: PromQL for what only Prometheus can tell, with `{value}` and labels as placeholders in the summary.
        resource: The name of the one resource that it is for; empty for all.

    Raises:
        ConfigurationError: A value is wrong.
    """

    name: str
    severity: Severity
    summary: str
    meaning: str
    remedy: str
    _: KW_ONLY
    measure: Measure | None = None
    compare: Compare = ">"
    limit: float = 0.0
    clears: float | None = None
    pending: float = 0.0
    quiet: float = 300.0
    unit: Unit = "count"
    query: str = ""
    resource: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "meaning", " ".join(self.meaning.split()))
        object.__setattr__(self, "remedy", inspect.cleandoc(self.remedy))
        where = f"alert rule {self.name!r}"
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"{where}: a name is letters and digits, and begins with a capital")
        for what, allowed in (("severity", Severity), ("compare", Compare), ("unit", Unit)):
            if (given := getattr(self, what)) not in get_args(allowed):
                raise ConfigurationError(f"{where}: {what} = {given!r}; allowed are {', '.join(get_args(allowed))}")
        if (self.measure is None) is not bool(self.query):
            raise ConfigurationError(f"{where}: it needs a measure, or the query of what only Prometheus can tell")
        if not math.isfinite(self.limit):
            raise ConfigurationError(f"{where}: limit = {self.limit!r}; nothing would be beyond it, or everything")
        if not (self.pending >= 0 and self.quiet >= 0):
            raise ConfigurationError(f"{where}: pending and quiet are seconds, 0 or more")
        if self.clears is not None and self._beyond(self.clears, self.limit):
            raise ConfigurationError(f"{where}: clears = {self.clears!r} is still beyond the limit, {self.limit!r}")
        if self.measure is not None and len({measures.kind_of(term) for term in measures.terms(self.measure)}) != 1:
            raise ConfigurationError(f"{where}: its measure is of several kinds of resource")

    @property
    def kind(self) -> str:
        """The kind of resource that it is about; empty for any, or if only Prometheus can tell."""
        return "" if self.measure is None else measures.kind_of(measures.terms(self.measure)[0])

    @property
    def every(self) -> float:
        """How often to look, in seconds; 0 for at each sample."""
        terms = () if self.measure is None else measures.terms(self.measure)
        return max(self.pending / measures.LOOKS, *(measures.every(term) for term in terms), 0.0)

    @property
    def anchor(self) -> str:
        """Where in the documentation it is explained: a page and a section."""
        return f"{RUNBOOK}#{self.name.lower()}"

    def fires(self, value: float) -> bool:
        """Tell whether a value is amiss; one that is not known is not."""
        return self._beyond(value, self.limit)

    def calms(self, value: float) -> bool:
        """Tell whether a value is in order again; one that is not known is."""
        if math.isnan(value) or self.clears is None:
            return not self.fires(value)
        return value >= self.clears if self.compare == "<" else value <= self.clears

    def promql(self) -> str:
        """Return it as PromQL; empty if only the process can tell."""
        if self.measure is None:
            return self.query
        measured = measures.promql(self.measure, self.resource)
        return f"{measured} {self.compare} {self.limit:g}" if measured else ""

    def said(self, name: str, value: float) -> str:
        """Return the summary, of a resource."""
        words = {"name": name, "value": _SHOWN[self.unit](value)}
        return self.template(lambda word: words.get(word, ""))

    def template(self, word: Callable[[str], str]) -> str:
        """Return the summary with each placeholder as somebody else writes it."""
        return _PLACEHOLDER.sub(lambda found: word(found[1]), self.summary)

    def _beyond(self, value: float, limit: float) -> bool:
        if self.compare == "<":
            return value < limit
        return value >= limit if self.compare == ">=" else value > limit


@dataclass(frozen=True, slots=True)
class Alert:
    """That something is amiss, or was until lately.

    Attributes:
        name: Of the rule.
        severity: `critical` or `warning`.
        kind: The kind of the resource.
        resource: The name of the resource.
        state: `active`, or `resolved`.
        value: What was measured last while it was amiss.
        limit: Beyond which it is amiss.
        since: When it became active, in Unix seconds.
        until: When it was resolved, in Unix seconds; None while it is active.
        summary: In a sentence.
        runbook: What to do: a page of the documentation, and a section.
    """

    name: str
    severity: Severity
    kind: str
    resource: str
    state: Literal["active", "resolved"]
    value: float
    limit: float
    since: float
    until: float | None
    summary: str
    runbook: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values; a value that is infinite is None, as JSON knows no such number."""
        return asdict(self) | {"value": self.value if math.isfinite(self.value) else None}
