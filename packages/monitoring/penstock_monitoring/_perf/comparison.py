"""`compare`: runs both sides in turn until the sequential test decides, or there were enough runs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_limits import ConfigurationError

from penstock_monitoring._perf.baseline import Machine, medians
from penstock_monitoring._perf.errors import PerfError
from penstock_monitoring._perf.files import write_json
from penstock_monitoring._perf.metrics import MARGINS, cost_of, default_margins, value_of
from penstock_monitoring._perf.run import Run
from penstock_monitoring._perf.sequential import SequentialTest, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Comparison", "MetricComparison", "compare"]


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """What was found about one metric.

    Attributes:
        metric: `cpu`, `throughput`, `p50`, `p99`, `wall` or `attempts`.
        verdict: What was decided about it.
        baseline: The median of the baseline's runs: seconds, or operations per second.
        candidate: That of the candidate's.
        change: How much worse the candidate is, as a share: the median of the pairs. 0.1 is worse by 10 %.
        low: It is at least that; None if nothing is known.
        high: It is at most that; None if nothing is known.
        margin: The smallest change that matters.
        pairs: How many pairs of runs it took to decide.
    """

    metric: str
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    change: float
    low: float | None
    high: float | None
    margin: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found about a candidate.

    Attributes:
        name: What was compared.
        verdict: `regressed` if any metric is; else `inconclusive` if any is; else `better` if any is; else `same`.
        metrics: What was found about each.
        baseline: The baseline's runs.
        candidate: The candidate's.
        interleaved: Whether both ran in turn; if not, the baseline's runs were recorded before.
        error: The probability of a wrong verdict that was accepted; it holds for what ran in turn.
        at: When, in Unix seconds.
        machine: On what.
    """

    name: str
    verdict: Verdict
    metrics: tuple[MetricComparison, ...]
    baseline: tuple[Run, ...]
    candidate: tuple[Run, ...]
    interleaved: bool
    error: float
    at: float = field(default_factory=time.time)
    machine: Machine = field(default_factory=Machine.this)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, as they are in an evidence file."""
        return {
            "version": 1,
            "kind": "performance-comparison",
            "name": self.name,
            "at": self.at,
            "verdict": self.verdict.value,
            "error": self.error,
            "interleaved": self.interleaved,
            "machine": asdict(self.machine),
            "metrics": [asdict(each) | {"verdict": each.verdict.value} for each in self.metrics],
            "baseline": [asdict(run) for run in self.baseline],
            "candidate": [asdict(run) for run in self.candidate],
        }

    def __rich__(self) -> RenderableType:
        """Return it as a table for people: what rich's console prints."""
        from penstock_monitoring._perf.table import report

        return report(self)

    def write(self, file: Path) -> None:
        """Write it as evidence.

        Raises:
            BaselineError: The file cannot be written.
        """
        write_json(file, self.as_dict())


def compare(
    name: str,
    baseline: Callable[[], Run] | Sequence[Run],
    candidate: Callable[[], Run],
    *,
    margins: Mapping[str, float] | None = None,
    error: float = 0.05,
    pairs: int = 50,
    chance: random.Random | None = None,
    after_pair: Callable[[int], None] | None = None,
) -> Comparison:
    """Run a baseline and a candidate in turn, until it is known which is better.

    A coin decides which of the two of a pair runs first, so that what else happens on the machine hits both alike. It
    ends as soon as everything is decided or anything has regressed. Against recorded runs there is no coin: the verdict
    is right as often as it says only if nothing but the program has changed since.

    Args:
        name: What is compared.
        baseline: Runs the baseline once; or runs that were recorded, which are taken in order.
        candidate: Runs the candidate once.
        margins: The metrics to judge, each with the smallest change that matters, as a share. By default CPU time,
            throughput, p99 and attempts of marked operations, or CPU and wall time where none are marked.
        error: The probability of a wrong verdict that is accepted; shared between the metrics.
        pairs: How many pairs of runs to make at most.
        chance: Tosses the coin.
        after_pair: Called after each pair with how many there were.

    Raises:
        ConfigurationError: A value is wrong.
        PerfError: A run has no figure for a metric, or only one side has operations that succeeded. Whatever baseline
            and candidate raise passes.
    """
    _check(margins, error, pairs)
    coin = chance or random.Random()  # noqa: S311 - no secret
    made: Iterator[tuple[Run, Run]]
    if callable(baseline):
        made = (_in_random_order(baseline, candidate, coin) for _ in range(pairs))
    else:
        made = ((run, candidate()) for run in baseline[:pairs])
    seen: tuple[list[Run], list[Run]] = [], []
    tests: dict[str, SequentialTest] = {}
    for number, pair in enumerate(made, 1):
        _require_alike(*pair)
        for runs, run in zip(seen, pair, strict=True):
            runs.append(run)
        if not tests:
            chosen = margins or default_margins(pair[0])
            tests = {metric: SequentialTest(margin, error / len(chosen)) for metric, margin in chosen.items()}
        for metric, test in tests.items():
            test.add(cost_of(pair[0], metric), cost_of(pair[1], metric))
        if after_pair is not None:
            after_pair(number)
        if _is_over([test.verdict for test in tests.values()]):
            break
    return Comparison(
        name=name,
        verdict=_overall([test.verdict for test in tests.values()]),
        metrics=tuple(_found(metric, test, (margins or MARGINS)[metric], *seen) for metric, test in tests.items()),
        baseline=tuple(seen[0]),
        candidate=tuple(seen[1]),
        interleaved=callable(baseline),
        error=error,
    )


def _check(margins: Mapping[str, float] | None, error: float, pairs: int) -> None:
    for metric, margin in (margins or {}).items():
        if metric not in MARGINS:
            raise ConfigurationError(f"comparison: unknown metric {metric!r}; known are {', '.join(MARGINS)}")
        if not 0.001 <= margin <= 10:
            raise ConfigurationError(f"comparison: margin of {metric} = {margin!r}; allowed are 0.001 to 10")
    if not 0 < error < 1:
        raise ConfigurationError(f"comparison: error = {error!r}; allowed are numbers above 0 and below 1")
    if pairs < 1:
        raise ConfigurationError(f"comparison: pairs = {pairs!r}; allowed are 1 and more")


def _require_alike(baseline: Run, candidate: Run) -> None:
    """Refuse to compare the CPU time of an operation with that of a whole run."""
    if bool(baseline.operations) is not bool(candidate.operations):
        which = "baseline" if candidate.operations else "candidate"
        raise PerfError(f"a run of the {which} has no operations that succeeded, and one of the other side has some")


def _in_random_order(baseline: Callable[[], Run], candidate: Callable[[], Run], coin: random.Random) -> tuple[Run, Run]:
    if coin.random() < 0.5:
        first = baseline()
        return first, candidate()
    second = candidate()
    return baseline(), second


def _is_over(verdicts: Sequence[Verdict]) -> bool:
    return Verdict.REGRESSED in verdicts or Verdict.INCONCLUSIVE not in verdicts


def _overall(verdicts: Sequence[Verdict]) -> Verdict:
    in_order = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.BETTER, Verdict.SAME)
    return next((each for each in in_order if each in verdicts), Verdict.INCONCLUSIVE)


def _found(
    metric: str, test: SequentialTest, margin: float, baseline: Sequence[Run], candidate: Sequence[Run]
) -> MetricComparison:
    low, high = test.interval
    return MetricComparison(
        metric=metric,
        verdict=test.verdict,
        baseline=value_of(medians(baseline), metric),
        candidate=value_of(medians(candidate), metric),
        change=test.change,
        low=low,
        high=high,
        margin=margin,
        pairs=test.pairs,
    )
