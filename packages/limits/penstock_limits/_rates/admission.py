"""What a rate has admitted, and who waits for it.

What changes this is done with a plain lock held. What gives something back may be called by the garbage collector, so
it never waits for the lock: it is done at once, or is left as a chore to whoever holds the lock, before they go.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from penstock_limits import _modes
from penstock_limits._errors import AcquireTimeoutError, QueueFullError, RequestTooLargeError
from penstock_limits._headers import Advice
from penstock_limits._modes import Mode
from penstock_limits._rates.algorithms import Meter, Number, Rate, exact
from penstock_limits._rates.dimension import Dimension
from penstock_limits._rates.queue import TaskTurn, ThreadTurn, Turn, Turns
from penstock_limits._rates.reservation import CANCELLED, NEW, SETTLED, WAITING, Reservation

__all__ = ["CAPABILITY", "ENFORCE", "LOOK", "OFF", "RateAdmission", "T"]

CAPABILITY: Final = "provider-rates"

OFF, ENFORCE = Mode.OFF, Mode.ENFORCE  # to look up a member costs as much as to take a lock

Chore = Callable[[Any, Any], None]
T = TypeVar("T", TaskTurn, ThreadTurn)


def _nothing(_subject: object, _detail: object) -> None:
    """Do nothing."""


LOOK: Final = (_nothing, None, None)  # a chore after which the queue is looked at, as after any


class RateAdmission:
    """What a rate counts; the mode is read before the lock is taken, as its source may have its own."""

    __slots__ = (
        "_acquired",
        "_blocked_until",
        "_chores",
        "_clock",
        "_dimensions",
        "_fixed_mode",
        "_flying",
        "_index",
        "_inherited",
        "_learned",
        "_learned_until",
        "_least",
        "_lock",
        "_max_queued",
        "_meters",
        "_name",
        "_rejected",
        "_timed_out",
        "_turns",
        "_waited",
        "_would_reject",
        "_would_wait",
    )

    def __init__(
        self,
        name: str,
        rates: Mapping[str, Rate],
        max_queued: int | None,
        mode: Mode | None,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._dimensions = [Dimension(dimension, rate) for dimension, rate in rates.items()]
        self._meters = [dimension.meter for dimension in self._dimensions]
        self._index = {dimension: index for index, dimension in enumerate(rates)}
        self._least: list[Number] = [int(dimension == "requests") for dimension in rates]
        self._max_queued = max_queued
        self._fixed_mode = mode
        self._clock = clock
        self._blocked_until = self._learned_until = -math.inf
        self._learned = False  # whether anything ever was
        self._acquired = 0
        self._begin()

    def _begin(self) -> None:
        """Have nobody in the queue and nothing on its way, and count from 0."""
        self._lock = threading.Lock()
        self._chores: deque[tuple[Chore, Any, Any]] = deque()
        self._turns = Turns(self._clock)
        self._flying: dict[int, list[Number]] = {}  # what is on its way, by the number of its admission
        self._inherited = self._acquired  # admissions of the parent, if this is a forked child: it numbers on
        self._waited = self._rejected = self._timed_out = self._would_wait = self._would_reject = 0

    def _forked(self) -> None:
        """Begin anew in a forked child; what the provider counts and has said holds there, too.

        Of those that wait only the thread that forked may be here, if a signal's handler has: it goes on.
        """
        turns = tuple(self._turns)
        self._begin()
        for dimension in self._dimensions:
            dimension.forked()
        self._meters = [dimension.meter for dimension in self._dimensions]
        for turn in turns:
            if isinstance(turn, ThreadTurn) and turn.thread == threading.get_ident():
                self._take(turn.reservation, self._clock(), charged=False)
                turn.admit()

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `provider-rates`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    def mode_changed(self) -> None:
        """Let in whoever need not wait any more; called when the mode may have changed."""
        if self._turns:
            self._do(*LOOK)

    # --- chores

    def _do(self, chore: Chore, subject: Any = None, detail: Any = None) -> None:
        """Do something with the lock held, and admit whoever can be; never waits, so it may be called from anywhere."""
        lock = self._lock  # a fork in between gives the child another
        if lock.acquire(False):  # noqa: FBT003 - by name it costs more
            try:
                chore(subject, detail)
            finally:
                lock.release()
            if not (self._turns or self._chores):
                return
            chore = _nothing
        self._chores.append((chore, subject, detail))
        self._work()

    def _work(self) -> None:
        """Do all chores, unless somebody holds the lock, who will do them."""
        while self._chores and (lock := self._lock).acquire(blocking=False):
            try:
                self._catch_up(self.mode)
            finally:
                lock.release()

    def _ring(self) -> None:
        self._do(*LOOK)

    # --- with the lock held: who is admitted

    def _catch_up(self, mode: Mode) -> None:
        """Do all chores, then admit from the head of the queue; the first who has to wait is told how long."""
        while self._chores:
            chore, subject, detail = self._chores.popleft()
            chore(subject, detail)
        self._turns.drop_closed()
        while (head := self._turns.first()) is not None:
            reservation, now = head.reservation, self._clock()
            due = self._due(reservation, now)
            if now < due < math.inf and mode is ENFORCE:
                self._turns.set_alarms(due)
                return
            self._turns.remove(head)
            if due == math.inf and mode is ENFORCE:
                self._rejected += 1
                head.refuse(self._too_large(reservation))
                continue
            self._waited += 1
            self._take(reservation, now, charged=due <= now and mode is not OFF)
            if not head.admit():
                self._undo(reservation)

    def _enter_otherwise(self, reservation: Reservation, kind: type[T], mode: Mode) -> T | Exception | None:
        """Admit a reservation, let it wait or refuse it, where it cannot simply be admitted."""
        if self._turns or self._chores:
            self._catch_up(mode)
        now = self._clock()
        if mode is OFF:
            self._take(reservation, now, charged=False)
            return None
        due = self._due(reservation, now)
        if mode is ENFORCE and (due > now or self._turns):
            return self._queue(reservation, kind, due)
        if due > now:
            rejected = due == math.inf or self._max_queued == 0
            self._would_reject += rejected
            self._would_wait += not rejected
        self._take(reservation, now, charged=due <= now)
        return None

    def _queue(self, reservation: Reservation, kind: type[T], due: float) -> T | Exception:
        """Let a reservation wait, or return why it is refused."""
        queued = len(self._turns)
        if due == math.inf:
            self._rejected += 1
            return self._too_large(reservation)
        if self._max_queued is not None and queued >= self._max_queued:
            self._rejected += 1
            return QueueFullError(self._name, queued, self._max_queued, "rate")
        if kind is ThreadTurn and asyncio._get_running_loop() is not None:
            return RuntimeError(
                f"rate {self._name!r} cannot admit this at once, and `with` would block the running event loop: "
                f"use `async with`, or call this in a thread"
            )
        turn = kind(reservation, self._clock, self._ring)
        reservation._state = WAITING
        if self._turns.add(turn):
            self._chores.append(LOOK)  # it needs an alarm
        return turn

    def _take(self, reservation: Reservation, now: float, charged: bool = True) -> bool:
        """Admit a reservation if all that it asks for may be taken now, else take nothing; or admit it uncharged."""
        amounts, learned = reservation._amounts, self._learned and self._learned_until > now
        if charged:
            if learned and self._due(reservation, now) > now:
                return False
            for meter, amount in zip(self._meters, amounts):  # noqa: B905 - they match, and to check it costs
                if not meter.take(amount, now):
                    self._give_back_before(meter, amounts, now)
                    return False
            reservation._when = now
        else:
            for dimension, amount in zip(self._dimensions, amounts, strict=True):
                dimension.besides += amount
        if learned:
            for dimension, amount in zip(self._dimensions, amounts, strict=True):
                dimension.left -= amount
        self._acquired = reservation._state = number = self._acquired + 1
        self._flying[number] = amounts
        return True

    def _give_back_before(self, last: Meter, amounts: list[Number], now: float) -> None:
        for meter, amount in zip(self._meters, amounts, strict=True):
            if meter is last:
                return
            meter.give_back(amount, now)

    def _due(self, reservation: Reservation, now: float) -> float:
        """Return when a reservation may be admitted, if nobody waits before it: not above `now` if at once."""
        due = max(now, self._blocked_until)
        for dimension, amount in zip(self._dimensions, reservation._amounts, strict=True):
            if amount:
                due = max(due, dimension.ready_at(amount, now))
        return due

    def _too_large(self, reservation: Reservation) -> RequestTooLargeError:
        for dimension, amount in zip(self._dimensions, reservation._amounts, strict=True):
            rate = dimension.rate
            if rate.burst is None and amount > rate.amount:
                return RequestTooLargeError(self._name, dimension.name, float(amount), rate.amount)
        raise AssertionError(reservation)

    # --- with the lock held: what becomes of them

    def _refuse_late(self, turn: Turn, patience: float) -> None:
        queued = len(self._turns)
        if self._turns.remove(turn):
            self._timed_out += 1
            turn.refuse(AcquireTimeoutError(self._name, queued, patience, "rate"))

    def _withdraw(self, turn: Turn, _: None) -> None:
        reservation = turn.reservation
        self._turns.remove(turn)
        self._undo(reservation)
        reservation._amounts[:] = [SETTLED] * len(self._meters)
        reservation._state = CANCELLED

    def _undo(self, reservation: Reservation, _: None = None) -> None:
        """Give back all that is not settled, if it was admitted."""
        if reservation._state > NEW:
            self._settle(reservation, dict.fromkeys(self._index, 0))
            reservation._state = CANCELLED

    def _settle(self, reservation: Reservation, used: Mapping[str, Number]) -> None:
        amounts, when = reservation._amounts, reservation._when
        flying = self._flying.pop(reservation._state, None) is not None
        for name in used:
            index = self._index[name]
            reserved = amounts[index]
            if reserved == SETTLED:
                continue
            amounts[index] = SETTLED
            more = used[name] - reserved
            if flying and self._learned:  # else a provider who has said what remains knew better
                self._dimensions[index].left -= more
            if when is None:
                self._dimensions[index].besides += more
            elif more < 0:
                self._meters[index].give_back(-more, when)
            elif more:
                self._meters[index].take(more, self._clock(), forced=True)

    def _apply(self, learned: Advice) -> list[dict[str, Any]]:
        """Take note of what was learnt; return what is worth telling."""
        now = self._clock()
        told: list[dict[str, Any]] = []
        if learned.pause is not None:
            if self._blocked_until <= now:
                told.append({"retry_after": learned.pause})
            self._blocked_until = max(self._blocked_until, now + learned.pause)
        on_their_way = tuple(self._flying.copy().values())
        for index, dimension in enumerate(self._dimensions):
            dimension.advertised = learned.limits.get(dimension.name, dimension.advertised)
            if dimension.name in learned.budgets:
                remaining, seconds = learned.budgets[dimension.name]
                flying = sum(amounts[index] for amounts in on_their_way)
                if dimension.learn(exact(remaining), flying, seconds, now):
                    told.append({"dimension": dimension.name, "remaining": 0, "reset": seconds})
        self._learned_until = max(self._blocked_until, *(dimension.until for dimension in self._dimensions))
        self._learned = self._learned_until > now
        return told
