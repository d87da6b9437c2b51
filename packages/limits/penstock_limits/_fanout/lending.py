"""Permits that know their lineage, so that nested fan-outs on one limiter never deadlock.

A child admitted by a limiter that fans out on the same limiter waits for its own children; with every permit held by
such a child, nothing could run. So the child lends its permit: while it lives, one of its children at a time runs on
it. That child can lend it on. Helpers in other tasks find the lender by a context variable.

The loan ends with the lender: whoever runs on the permit then keeps it, and it goes back to the limiter, or to the
lender's own lender, when that child ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Protocol

from penstock_limits._limiters.limiter import Limiter

Loan = tuple["Borrower", "Permit"]

__all__ = ["Borrower", "CountedPermit", "Permit", "current_permit", "lender_for", "living"]

current_permit: ContextVar[Permit | None] = ContextVar("penstock_limits.current_permit", default=None)


class Borrower(Protocol):
    """A fan-out that waits for permits, and holds those it gets."""

    limiter: Limiter
    lineage: Permit | None

    def lend(self, permit: Permit) -> None:
        """Take over a permit on loan; called without a lock held, in whatever thread freed it."""

    def child_done(self, permit: Permit, child: asyncio.Future[Any]) -> None:
        """Take note that the child which held a permit is done, and end the permit."""


class Permit:
    """A child's place under a limiter: a token of the limiter, or a loan from the child's lender.

    It is the child's done callback, too. A child may vanish without being done - its loop was closed, or nothing can
    wake it any more - and then its permit vanishes with it, and is given back as lost.

    Args:
        limiter: The limiter that the permit counts under.
        outer: The permit under which the fan-out was called, whatever its limiter.
        holder: The fan-out whose child holds it.
        lender: The permit that this one is borrowed from; None if it holds a token of its own.
    """

    __slots__ = ("_borrower", "_holder", "_lender", "_waiting", "ended", "limiter", "outer")

    def __init__(
        self, limiter: Limiter, outer: Permit | None, holder: Borrower | None, lender: Permit | None = None
    ) -> None:
        self.limiter = limiter
        self.outer = outer
        self.ended = False
        self._holder = holder
        self._lender = lender
        self._borrower: Permit | None = None
        self._waiting: dict[Borrower, None] | None = None

    def __call__(self, child: asyncio.Future[Any]) -> None:
        assert self._holder is not None
        self._holder.child_done(self, child)

    def __del__(self) -> None:
        if not self.ended:
            self.limiter._lose(self.end)

    def borrow(self, borrower: Borrower) -> Permit | None:
        """Return a permit on loan from this one, None if it is lent already; the limiter's lock is held."""
        if self._borrower is not None:
            return None
        self._borrower = Permit(self.limiter, borrower.lineage, borrower, self)
        return self._borrower

    def wait(self, borrower: Borrower) -> None:
        """Queue for a loan; the limiter's lock is held."""
        if self._waiting is None:
            self._waiting = {}
        self._waiting[borrower] = None

    def leave(self, borrower: Borrower) -> None:
        """Queue for a loan no longer; the limiter's lock is held."""
        if self._waiting is not None:
            self._waiting.pop(borrower, None)

    def end(self) -> None:
        """Give the permit back; whoever runs on it keeps it, whoever waits for it looks for another lender."""
        limiter = self.limiter
        with limiter._lock:
            self.ended = True
            self._holder = None
            heir, lender, waiting = self._borrower, self._lender, self._waiting
            if self.outer is not None:  # else a job that starts its successor would make a chain without end
                self.outer = living(self.outer)
            waiter = limiter._give_back() if heir is None and lender is None else None
            loans = self._pass_on(heir, lender, waiting) if heir or lender or waiting else ()
        limiter._hand_on(waiter)
        for borrower, permit in loans:
            borrower.lend(permit)

    def _pass_on(self, heir: Permit | None, lender: Permit | None, waiting: Iterable[Borrower] | None) -> list[Loan]:
        self._borrower = self._lender = self._waiting = None
        if heir is not None:
            heir._lender = lender
        if lender is not None:
            lender._borrower = heir
        loans = [loan for borrower in waiting or () for loan in _find_loan(borrower)]
        if lender is not None and heir is None:
            loans += lender._lend_next()
        return loans

    def _lend_next(self) -> list[Loan]:
        if not self._waiting or self._borrower is not None:
            return []
        borrower = next(iter(self._waiting))
        del self._waiting[borrower]
        return self._lend_to(borrower)

    def _lend_to(self, borrower: Borrower) -> list[Loan]:
        permit = self.borrow(borrower)
        return [] if permit is None else [(borrower, permit)]


class CountedPermit(Permit):
    """Stands for the children of a call that is switched off: counted, one token each, and not limited."""

    __slots__ = ("_running",)

    def __init__(self, limiter: Limiter, outer: Permit | None) -> None:
        super().__init__(limiter, outer, None)
        self._running = 0
        self.ended = True  # lends nothing until its children are counted

    def count(self, running: int) -> None:
        self.limiter._join(running)
        self._running = running
        self.ended = not running

    def __call__(self, child: asyncio.Future[Any]) -> None:  # noqa: ARG002 - a done callback
        self._running -= 1
        if self._running:
            self.limiter.release()
        else:
            super().end()

    def end(self) -> None:
        """Give all back that are left."""
        for _ in range(self._running - 1):
            self.limiter.release()
        super().end()


def living(lineage: Permit | None) -> Permit | None:
    """Return the nearest permit of a lineage whose holder still lives."""
    while lineage is not None and lineage.ended:
        lineage = lineage.outer
    return lineage


def lender_for(limiter: Limiter, lineage: Permit | None) -> Permit | None:
    """Return the nearest permit of a limiter in a lineage whose holder still lives; the limiter's lock is held."""
    permit = lineage
    while permit is not None and (permit.ended or permit.limiter is not limiter):
        permit = permit.outer
    return permit


def _find_loan(borrower: Borrower) -> list[Loan]:
    """Queue a fan-out, whose lender has ended, with the next lender up its lineage."""
    lender = lender_for(borrower.limiter, borrower.lineage)
    if lender is None:
        return []
    loan = lender._lend_to(borrower)
    if not loan:
        lender.wait(borrower)
    return loan
