"""The sequential test: says after every pair of runs whether a decision can be made, and is not fooled by being asked.

Each pair gives one number: the logarithm of how much more the candidate cost. If a change multiplies a cost, and a coin
decides which of the two runs first, then the number minus the true change is symmetric about zero given all that was
before: the noise belongs to two moments, and the coin says whose each is. Nothing else is assumed, no normal
distribution, no equal variance, no independence; so bursts of load on the machine do no harm.

For a number X that is symmetric given the past, and any fixed L, `2 / (1 + exp(-2 L X))` has the mean 1: it is
`exp(L X) / cosh(L X)`, averaged over both signs. So the product over all pairs is a nonnegative martingale, and so is
the average of several such products (a mixture, as nobody knows the best L beforehand). By Ville's inequality it ever
exceeds 1/e with a probability of at most e. The changes for which it has not are a confidence sequence: an interval
that holds at all times at once, however often one looks and whenever one stops.

Sources:
    Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical Statistics 41
    (1970): mixtures. De la Pena, "A general class of exponential inequalities for martingales and ratios", Annals of
    Probability 27 (1999): symmetric variables. Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49 (2021). Johari, Koomen, Pekelis and Walsh, "Always
    valid inference: continuous monitoring of A/B tests", Operations Research 70 (2022): why, and for whom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from statistics import median
from typing import Final

__all__ = ["SequentialTest", "Verdict"]

_BETS: Final = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)  # the Ls of the mixture, each to be divided by the margin
_FAR: Final = 50.0  # margins beyond all differences: there, evidence grows no more
_STEPS: Final = 40  # of a bisection
_LOG_2: Final = math.log(2)


class Verdict(StrEnum):
    """What a comparison finds.

    Attributes:
        REGRESSED: The candidate is worse, and for all that is known by the margin or more.
        SAME: It is neither worse nor better by the margin or more.
        BETTER: It is better, and for all that is known by the margin or more.
        INCONCLUSIVE: There were not enough runs to tell.
    """

    REGRESSED = "regressed"
    SAME = "same"
    BETTER = "better"
    INCONCLUSIVE = "inconclusive"


class SequentialTest:
    """Decides between worse, same and better, as pairs of runs come in.

    Whatever the true change is, a decision is wrong with at most the given probability, however many pairs there are.

    Args:
        margin: The smallest change that matters, as a share: 0.1 for 10 %.
        error: The probability of a wrong decision, above 0 and below 1.

    Attributes:
        verdict: What has been decided; INCONCLUSIVE as long as nothing has. A decision stands.
    """

    def __init__(self, margin: float, error: float) -> None:
        self._margin = math.log1p(margin)
        self._enough = math.log(2 / error)  # each side may err half of the time
        self._differences: list[float] = []
        self._is_worse = _Refutation("at most", 0.0, self._margin)
        self._is_better = _Refutation("at least", 0.0, self._margin)
        self._not_better = _Refutation("at most", -self._margin, self._margin)
        self._not_worse = _Refutation("at least", self._margin, self._margin)
        self.verdict = Verdict.INCONCLUSIVE

    @property
    def pairs(self) -> int:
        """How many pairs of runs there were until the decision."""
        return len(self._differences)

    @property
    def change(self) -> float:
        """The estimate: the median of the changes, as a share; 0.1 is worse by 10 %, and without pairs it is 0."""
        return math.expm1(median(self._differences)) if self._differences else 0.0

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Between which shares the change lies, but for the probability of an error; None where nothing is known."""
        mirrored = [-each for each in self._differences]
        low, high = self._bound(self._differences), self._bound(mirrored)
        if self.verdict is Verdict.SAME:  # one side may have been certain with fewer pairs
            low = -self._margin if low is None else max(low, -self._margin)
            high = -self._margin if high is None else max(high, -self._margin)
        return None if low is None else math.expm1(low), None if high is None else math.expm1(-high)

    def add(self, baseline: float, candidate: float) -> Verdict:
        """Take note of a pair of costs, both above 0; return what is decided now."""
        if self.verdict is Verdict.INCONCLUSIVE:
            difference = math.log(candidate / baseline)
            self._differences.append(difference)
            for each in (self._is_worse, self._is_better, self._not_better, self._not_worse):
                each.add(difference)
            self.verdict = self._decide()
        return self.verdict

    def _decide(self) -> Verdict:
        enough = self._enough
        if self._not_better.highest >= enough and self._not_worse.highest >= enough:
            return Verdict.SAME
        if self._is_worse.highest >= enough:
            return Verdict.REGRESSED
        if self._is_better.highest >= enough:
            return Verdict.BETTER
        return Verdict.INCONCLUSIVE

    def _bound(self, differences: list[float]) -> float | None:
        """Return the largest change that is refuted as too small to have given these differences."""
        if not differences:
            return None
        refuted, possible = min(differences) - _FAR * self._margin, max(differences)
        if self._evidence(differences, refuted) < self._enough:
            return None
        for _ in range(_STEPS):
            middle = (refuted + possible) / 2
            if self._evidence(differences, middle) >= self._enough:
                refuted = middle
            else:
                possible = middle
        return refuted

    def _evidence(self, differences: Iterable[float], change: float) -> float:
        refutation = _Refutation("at most", change, self._margin)
        for each in differences:
            refutation.add(each)
        return refutation.evidence


class _Refutation:
    """Adds up the evidence against "the true change is at most (or at least) so much".

    Attributes:
        evidence: The logarithm of the mixture martingale.
        highest: The highest that it ever was.
    """

    def __init__(self, side: str, change: float, margin: float) -> None:
        self._sign = 1.0 if side == "at most" else -1.0
        self._change = change
        self._slopes = [2 * bet / margin for bet in _BETS]
        self._logs = [0.0] * len(_BETS)
        self.evidence = self.highest = 0.0

    def add(self, difference: float) -> None:
        surplus = self._sign * (difference - self._change)
        self._logs = [log + _log_of_bet(slope * surplus) for log, slope in zip(self._logs, self._slopes, strict=True)]
        most = max(self._logs)
        self.evidence = most + math.log(sum(math.exp(each - most) for each in self._logs) / len(self._logs))
        self.highest = max(self.highest, self.evidence)


def _log_of_bet(x: float) -> float:
    """Return log(2 / (1 + exp(-x))), also where the exponential is too large for a float."""
    return _LOG_2 - (math.log1p(math.exp(-x)) if x >= 0 else math.log1p(math.exp(x)) - x)
