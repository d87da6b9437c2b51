"""Whether a call that has failed is made again, and when; and what is told if it is not."""

from __future__ import annotations

import contextlib
import math
import time
from asyncio import _get_running_loop
from collections.abc import Callable
from types import EllipsisType

from penstock_limits._checks import seconds, whole
from penstock_limits._events import emit
from penstock_limits._guarded import note
from penstock_limits._headers import retry_after
from penstock_limits._modes import Mode
from penstock_limits._outcomes import headers_of
from penstock_limits._retries.attempts import Call
from penstock_limits._retries.backoff import backoff_delay
from penstock_limits._retries.budget import RetryBudget
from penstock_limits._retries.budgeted import Budgeted
from penstock_limits._retries.statistics import RetryCounters
from penstock_limits._retries.transient import is_cancellation, matcher

__all__ = ["Decisions"]


class Decisions(Budgeted[RetryCounters]):
    """What a retry decides when an attempt has failed; the arguments are those of `Retry`."""

    __slots__ = ("_attempts", "_base", "_cap", "_on", "_random", "_total_timeout")

    def __init__(
        self,
        name: str | None,
        *,
        attempts: int,
        total_timeout: float | None,
        base: float,
        cap: float,
        on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool],
        budget: RetryBudget | str | EllipsisType | None,
        mode: Mode | str | None,
        random: Callable[[], float],
    ) -> None:
        where = f"retry {name or 'retry'!r}"
        self._attempts = whole(where, "attempts", attempts, least=1)
        self._total_timeout = math.inf
        if total_timeout is not None:
            self._total_timeout = seconds(where, "total_timeout", total_timeout, above=True)
        self._base = seconds(where, "base", base)
        self._cap = seconds(where, "cap", cap)
        self._on = matcher(where, on)
        self._random = random
        super().__init__(name, "retry", budget, mode, RetryCounters)

    def _failed(self, call: Call, error: Exception) -> bool:
        """Decide, while an error is handled, whether there is to be another attempt, and when."""
        call.attempts += 1
        call.error = None
        mode = self.mode
        if mode is Mode.OFF or call.cancelled or not self._is_retried(error, mode):
            return False
        delay, asked = self._delay(call.attempts, error)
        why = self._obstacle(call, delay)
        if mode is Mode.OBSERVE:
            if why is None:
                self._add(would_retry=1, would_delay_seconds=delay)
            return False
        if why is None and self._budget is not None and not self._budget.take():
            why = "budget"
        if why is not None:
            self._give_up(call, error, why, delay)
            return False
        self._add(retries=1, retried=call.attempts == 1, delayed_seconds=delay, retry_after_honoured=asked)
        call.delay, call.error = delay, error
        return True

    def _is_retried(self, error: Exception, mode: Mode) -> bool:
        if is_cancellation(error):
            return False
        if mode is Mode.OBSERVE:
            with contextlib.suppress(Exception):  # it changes nothing, so it does not fail either
                return bool(self._on(error))
            return False
        return bool(self._on(error))

    def _delay(self, failed: int, error: Exception) -> tuple[float, bool]:
        """Return the delay after so many failed attempts, and whether the service has asked for it."""
        delay = backoff_delay(failed - 1, base=self._base, cap=self._cap, random=self._random)
        pause = retry_after(headers_of(error), time.time())
        # Later than it says, by chance: it may have told many the same.
        return (delay, False) if pause is None else (pause + delay, True)

    def _obstacle(self, call: Call, delay: float) -> str | None:
        """Return why there can be no other attempt after this delay."""
        if call.attempts >= self._attempts:
            return "attempts"
        if delay >= self._total_timeout - call.seconds:
            return "time"
        if call.task is None and _get_running_loop() is not None:
            return "loop"
        return None

    def _check_late(self, call: Call) -> None:
        """Raise the error of a call if its time is over before the next attempt, as sleep may take longer."""
        if call.error is not None and call.seconds >= self._total_timeout:
            self._give_up(call, call.error, "time", call.delay)
            raise call.take_error()

    def _ends_late(self) -> bool:
        """Tell whether a call that is late is to be ended."""
        mode = self.mode
        if mode is Mode.OBSERVE:
            self._add(would_time_out=1)
        return mode is Mode.ENFORCE

    def _end_late(self, call: Call, cancelled: BaseException) -> None:
        """Let a call that was ended in the midst of an attempt raise the error of the attempt before it."""
        if call.error is None:
            call.error = TimeoutError(f"retry {self._name!r}: total_timeout = {self._total_timeout:g} s is over")
            call.error.__cause__ = cancelled
        call.attempts += 1
        self._add(timed_out=1)
        self._give_up(call, call.error, "late", 0.0)

    def _give_up(self, call: Call, error: Exception, why: str, delay: float) -> None:
        reason = {
            "attempts": f"attempts = {self._attempts}",
            "time": f"another, after {delay:.3g} s, would not begin within total_timeout = {self._total_timeout:g} s",
            "late": f"total_timeout = {self._total_timeout:g} s ended the last",
            "budget": f"the retry budget {'' if self._budget is None else self._budget.name!r} is spent",
            "loop": "waiting for another would block the running event loop; use a coroutine, or a thread",
        }[why]
        took, made = call.seconds, f"{call.attempts} attempt{'s' if call.attempts > 1 else ''}"
        note(error, f"retry {self._name!r} gave up", f" after {made} in {took:.3g} s: {reason}")
        self._add(gave_up=1, budget_refused=why == "budget")
        details = {"attempts": call.attempts, "seconds": took, "reason": why, "error": type(error).__name__}
        emit("retry.gave_up", self._name, **details)
