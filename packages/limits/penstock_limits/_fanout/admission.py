"""How a fan-out's children are let in, one by one: under a limit of its own, or under a limiter shared with others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from typing import Any, ClassVar, Protocol

from penstock_limits._fanout.lending import Permit, current_permit, lender_for, living
from penstock_limits._limiters.limiter import Limiter

__all__ = ["Admission", "FanOut", "OwnAdmission", "SharedAdmission", "admitted", "held"]

ChildDone = Callable[["asyncio.Future[Any]"], None]


class FanOut(Protocol):
    """Something with children to start."""

    loop: asyncio.AbstractEventLoop

    def wants(self) -> bool:
        """Tell whether it has a child to start now."""
        ...

    def start(self, done: ChildDone, permit: Permit | None) -> None:
        """Start the next child, under a permit; `done` must be called when it is done.

        Never raises: what cannot be started is a child that has failed.
        """

    def record(self, child: asyncio.Future[Any]) -> None:
        """Take note that a child is done."""


class Admission(Protocol):
    """Starts a fan-out's children as soon as they may start."""

    def fill(self) -> None:
        """Start what may start, and queue for the rest; called in the loop's thread.

        Raises:
            QueueFullError: As many callers wait as may wait.
        """

    def leave(self) -> None:
        """Queue no more; called when there is nothing to start now."""


class OwnAdmission:
    """Lets at most a number of children run."""

    __slots__ = ("_fan_out", "_room")

    def __init__(self, fan_out: FanOut, limit: int) -> None:
        self._fan_out = fan_out
        self._room = limit

    def fill(self) -> None:
        fan_out = self._fan_out
        while self._room > 0 and fan_out.wants():
            self._room -= 1
            fan_out.start(self._child_done, None)

    def leave(self) -> None:
        pass

    def _child_done(self, child: asyncio.Future[Any]) -> None:
        fan_out = self._fan_out
        fan_out.record(child)
        if fan_out.wants():
            fan_out.start(self._child_done, None)
        else:
            self._room += 1


class SharedAdmission:
    """Lets children in under a limiter. A fan-out is one waiter, at the queue's end again after each admission."""

    __slots__ = ("_context", "_fan_out", "_finishing", "_inside", "_queued", "_seated", "limiter", "lineage")
    stays: ClassVar[bool] = True
    weight = 1
    priority = 0

    def __init__(self, fan_out: FanOut, limiter: Limiter) -> None:
        self._fan_out = fan_out
        self._context = copy_context()
        self._finishing = False  # a child of this fan-out is giving its permit back
        self._queued = False
        self._inside = False  # has been let in, at least in part
        self._seated = False  # has been in the queue, or has had all it wanted, and is not refused any more
        self.limiter = limiter
        self.lineage = living(current_permit.get())
        limiter._remember(fan_out.loop)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop in which it waits."""
        return self._fan_out.loop

    def fill(self) -> None:
        fan_out, limiter = self._fan_out, self.limiter
        while fan_out.wants():
            permit = self._next_permit()
            if permit is None:
                limiter._settle()  # a permit may have come free before we stood in the queue
                return
            self._start(permit)
        self._seated = self._seated or self._inside
        self.leave()
        limiter.mode_changed()

    def leave(self) -> None:
        if not self._queued and self.lineage is None:
            return
        with self.limiter._lock:
            self._queued = self._queued and not self.limiter._leave(self)
            lender = lender_for(self.limiter, self.lineage)
            if lender is not None:
                lender.leave(self)

    def admit(self, *, queued: bool) -> bool:
        """Take over a token of the limiter."""
        if self._finishing and asyncio._get_running_loop() is self._fan_out.loop:
            self._finishing = False
            self._admitted(queued, Permit(self.limiter, self.lineage, self))
            return True
        permit = Permit(self.limiter, self.lineage, self)  # lost with the loop, should that close before the turn comes
        if self._soon(self._admitted, queued, permit):
            return True
        permit.ended = True
        return False

    def nudge(self, callback: Callable[[], None]) -> None:
        """Run a callback in its loop."""
        self._fan_out.loop.call_soon_threadsafe(callback)

    def drop(self) -> None:
        """Be told that it was taken out of the queue, as its loop is closed."""
        self._queued = False

    def lend(self, permit: Permit) -> None:
        """Take over a permit on loan."""
        if self._finishing and asyncio._get_running_loop() is self._fan_out.loop:
            self._finishing = False
            self._lent(permit)
        elif not self._soon(self._lent, permit):
            permit.end()

    def _soon(self, take_over: Callable[..., None], *what: Any) -> bool:
        """Take over in a turn of its own; False if the loop is closed.

        Starting a child runs users' code: not in the task, nor in the context, of the stranger that gave the permit.
        """
        loop = self._fan_out.loop
        call_soon = loop.call_soon if asyncio._get_running_loop() is loop else loop.call_soon_threadsafe
        try:
            call_soon(take_over, *what, context=self._context)
        except RuntimeError:  # it is closed
            return False
        return True

    def _next_permit(self) -> Permit | None:
        """Return a permit, on loan or of the limiter; if there is none, queue for both."""
        limiter = self.limiter
        mode = limiter.mode
        with limiter._lock:
            self.lineage = living(self.lineage)
            lender = lender_for(limiter, self.lineage)
            if lender is not None and (permit := lender.borrow(self)) is not None:
                return permit
            # A caller with a lender is inside already: refusing it would throw away work that was admitted.
            seated = self._seated or lender is not None
            if not self._queued:
                if limiter._take():
                    return Permit(limiter, self.lineage, self)
                if limiter._overdraw(mode, seated=seated):
                    self._seated = True
                    return Permit(limiter, self.lineage, self)
                limiter._enqueue(self, always=seated)
                self._queued = self._seated = True
            if lender is not None:
                lender.wait(self)
            return None

    def _admitted(self, queued: bool, permit: Permit) -> None:
        if not queued:
            self._queued = False
        self._lent(permit)

    def _lent(self, permit: Permit) -> None:
        fan_out = self._fan_out
        if not fan_out.wants():
            self.leave()  # or the permit would come straight back
            permit.end()
            return
        self._start(permit)
        if not self._queued or self.lineage is not None or not fan_out.wants():
            self.fill()

    def _start(self, permit: Permit) -> None:
        self._inside = True
        self._fan_out.start(permit, permit)

    def child_done(self, permit: Permit, child: asyncio.Future[Any]) -> None:
        """Record a child, and give its permit back: to itself, if nobody else waits."""
        self._fan_out.record(child)
        self._finishing = True
        permit.end()
        self._finishing = False


class _Caller:
    """A fan-out of one: the task itself, which waits to go on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.permit: asyncio.Future[Permit] = self.loop.create_future()

    def wants(self) -> bool:
        return not self.permit.done()

    def start(self, done: ChildDone, permit: Permit | None) -> None:  # noqa: ARG002 - it ends the permit itself
        assert permit is not None
        self.permit.set_result(permit)

    def record(self, child: asyncio.Future[Any]) -> None:
        pass


async def admitted(limiter: Limiter) -> Permit:
    """Wait for a permit, of the limiter or on loan from the caller's lineage; it must be ended.

    Raises:
        QueueFullError: As many callers wait as may wait.
    """
    caller = _Caller()
    admission = SharedAdmission(caller, limiter)
    try:
        admission.fill()
        return await caller.permit
    except BaseException:
        admission.leave()
        if caller.permit.done() and not caller.permit.cancelled():  # it came, but nobody is here to use it
            caller.permit.result().end()
        raise


@contextlib.asynccontextmanager
async def held(limiter: Limiter) -> AsyncIterator[None]:
    """Hold such a permit, and lend it to what fans out within."""
    permit = await admitted(limiter)
    outer = current_permit.get()
    current_permit.set(permit)
    try:
        yield
    finally:
        if current_permit.get() is permit:  # else the block was left in another context, which never knew of it
            current_permit.set(outer)
        permit.end()
