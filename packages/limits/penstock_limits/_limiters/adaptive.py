"""A limit that is found while calls are made: the feedback between how calls end and how many may run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from penstock_limits import _resources
from penstock_limits._checks import number, seconds, whole
from penstock_limits._events import emit
from penstock_limits._limiters.algorithms import LimitAlgorithm, Sample
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._modes import Mode
from penstock_limits._outcomes import Outcome, outcome_of
from penstock_limits.forks import after_fork

__all__ = ["AdaptiveAttempt", "AdaptiveLimit", "AdaptiveStatistics"]


@dataclass(frozen=True, slots=True)
class AdaptiveStatistics:
    """A snapshot of an adaptive limit.

    Attributes:
        mode: Its limiter's mode now.
        algorithm: What computes the limit: `LatencyGradient`.
        max_running: What its limiter allows.
        would_be: What the algorithm says, which the limiter is given in mode `enforce`.
        in_flight: How many calls hold a permit now.
        base: The latency without a queue, in seconds; None if the algorithm has none, or none yet.
        latency: The latency lately, in seconds; None likewise.
        gradient: The former in terms of the latter, at most 1; None likewise.
        succeeded: Calls that it has learned from.
        dropped: Calls for which the service was too busy.
        ignored: Calls that say nothing about the service.
        changed: How often the limit was changed.
    """

    mode: Mode
    algorithm: str
    max_running: int
    would_be: int
    in_flight: int
    base: float | None
    latency: float | None
    gradient: float | None
    succeeded: int
    dropped: int
    ignored: int
    changed: int


_ENOUGH: Final = 0.6  # calls; a limit half-way between two numbers would go to and fro


class AdaptiveLimit:
    """Resizes a limiter by what an algorithm learns from how calls end.

    `async with adaptive.attempt() as attempt:` takes a permit of the limiter, times the call, and reports how it ended.
    Who takes permits otherwise calls `report()`. The limiter is resized in mode `enforce` only; in the other modes the
    algorithm learns, and `statistics()` says what the limit would be.

    Args:
        limiter: What is resized.
        algorithm: What computes the limit: `LatencyGradient`, `Aimd`, or your own.
        clock: Says the time, in seconds.

    Attributes:
        clock: Says the time, in seconds.
    """

    __slots__ = ("__weakref__", "_algorithm", "_changed", "_limiter", "_lock", "_outcomes", "clock")

    def __init__(
        self, limiter: Limiter, algorithm: LimitAlgorithm, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter = limiter
        self._algorithm = algorithm
        self.clock = clock
        self._begin()
        self._follow("starts")
        _resources.enter(self)
        after_fork(self._begin)

    def _begin(self) -> None:
        """Count from 0, as in a forked child; what was learned of the service holds there, too."""
        self._lock = threading.RLock()  # the collector may end a forgotten call, which is ignored, while it is held
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._changed = 0

    def __repr__(self) -> str:
        return f"<AdaptiveLimit {self.name!r} {self._limiter.mode}: {self._algorithm!r}>"

    @property
    def name(self) -> str:
        """The name of its limiter."""
        return self._limiter.name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "adaptive-limit"

    @property
    def limiter(self) -> Limiter:
        """What is resized."""
        return self._limiter

    def attempt(self) -> AdaptiveAttempt:
        """Return one call, to make within `async with`, or within `with` in a thread."""
        return AdaptiveAttempt(self, self._limiter, self.clock)

    def report(self, took: float, outcome: Outcome, *, output_tokens: int | None = None) -> None:
        """Learn how a call has ended; to be called while it still holds its permit.

        Args:
            took: How many seconds it took, without the wait for its permit.
            outcome: How it ended. `ignored` calls are not learned from.
            output_tokens: How many tokens it gave, from 1, where long answers take long; what counts is then the time
                for one token. Say it for all calls of a limit, or for none.

        Raises:
            ConfigurationError: `took` is negative, or there are no tokens.
        """
        where = f"adaptive limit {self.name!r}"
        tokens = 1 if output_tokens is None else whole(where, "output_tokens", output_tokens, least=1)
        running = len(self._limiter._held)
        sample = Sample(seconds(where, "took", took) / tokens, running, outcome is Outcome.DROPPED)
        with self._lock:
            self._outcomes[outcome] += 1
            why = None if outcome is Outcome.IGNORED else self._algorithm.update(sample)
        if why is not None:
            self._follow(why)

    def statistics(self) -> AdaptiveStatistics:
        """Return a snapshot of its counters."""
        return AdaptiveStatistics(
            mode=self._limiter.mode,
            algorithm=type(self._algorithm).__name__,
            max_running=self._limiter.max_running,
            would_be=self._would_be(),
            in_flight=len(self._limiter._held),
            base=getattr(self._algorithm, "base", None),
            latency=getattr(self._algorithm, "latency", None),
            gradient=getattr(self._algorithm, "gradient", None),
            succeeded=self._outcomes[Outcome.SUCCEEDED],
            dropped=self._outcomes[Outcome.DROPPED],
            ignored=self._outcomes[Outcome.IGNORED],
            changed=self._changed,
        )

    def _would_be(self) -> int:
        return max(1, round(number(f"adaptive limit {self.name!r}", "the algorithm's limit", self._algorithm.limit)))

    def mode_changed(self) -> None:
        """Give the limiter what was learned meanwhile; called when the mode may have changed."""
        self._follow("mode")

    def _follow(self, why: str) -> None:
        """Give the limiter the algorithm's limit, if that is another.

        Not under the lock, as whoever waits is let in. So another thread may come in between, and be the later one with
        an earlier limit: it looks again.
        """
        while (change := self._change()) is not None:
            before, now = change
            self._limiter.resize(now)
            emit("limit.changed", self.name, before=before, now=now, why=why)

    def _change(self) -> tuple[int, int] | None:
        with self._lock:
            before, now = self._limiter.max_running, self._would_be()
            if abs(self._algorithm.limit - before) < _ENOUGH or now == before or self._limiter.mode is not Mode.ENFORCE:
                return None
            self._changed += 1
            return before, now


class AdaptiveAttempt:
    """One call under an adaptive limit; made by `AdaptiveLimit.attempt()`, for one block.

    Attributes:
        output_tokens: How many tokens it gave; set it in the block where long answers take long.
    """

    __slots__ = ("_adaptive", "_clock", "_limiter", "_said", "_started", "output_tokens")

    def __init__(self, adaptive: AdaptiveLimit, limiter: Limiter, clock: Callable[[], float]) -> None:
        self.output_tokens: int | None = None
        self._adaptive = adaptive
        self._limiter = limiter
        self._clock = clock
        self._said: Outcome | None = None
        self._started = 0.0

    def dropped(self) -> None:
        """Say that the service was too busy, whatever the block raises: a response 429 is that, but no exception."""
        self._said = Outcome.DROPPED

    def ignored(self) -> None:
        """Say that the call says nothing about the service: it was answered from a cache."""
        self._said = Outcome.IGNORED

    async def __aenter__(self) -> Self:
        await self._limiter.__aenter__()
        self._started = self._clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)

    def __enter__(self) -> Self:
        self._limiter.__enter__()
        self._started = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        took = max(0.0, self._clock() - self._started)
        try:
            self._adaptive.report(took, self._said or outcome_of(error), output_tokens=self.output_tokens)
        finally:
            self._limiter.release()
