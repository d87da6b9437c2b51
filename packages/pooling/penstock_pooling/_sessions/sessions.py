"""A pool of sessions that are open while nobody has them, for a driver whose sessions can be lent anew."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from penstock_limits import Mode

from penstock_pooling._pools.environment import environment
from penstock_pooling._sessions.endings import GLANCE, Endings
from penstock_pooling._sessions.places import Places

__all__ = ["Session", "SessionPool"]

C = TypeVar("C")

LIFETIME = 1_800.0  # seconds after which a session is not lent again
JITTER = 0.1  # the share of its life by which it may go earlier, so that not all go at once
IDLE = 300.0  # seconds after which a session that nobody needs is closed
PATIENCE = 5.0  # seconds for cleaning a session, before it is closed instead


@dataclass(slots=True, eq=False)
class Session:
    """A session of the server.

    Attributes:
        handle: What the driver has of it.
        expires: Until when it may be lent again, by the monotonic clock.
        generation: In which generation of the pool it was opened.
        idle_since: Since when nobody has it.
        initial: What else the driver has to restore.
    """

    handle: Any
    expires: float
    generation: int
    idle_since: float = 0.0
    initial: Any = None


class SessionPool(Places):
    """Places, and the sessions that are open while nobody has them: the last used is lent first.

    Args:
        name: What people know it by; no secret.

    Attributes:
        environment: The variables by which its arguments are completed; None if it does not matter.
    """

    environment: tuple[Any, ...] | None = None

    def __init__(self, name: str) -> None:
        self._generation = 0
        self._of_parent: list[Session] = []  # kept as they are in a forked child, so that nothing is closed there
        super().__init__(name)

    def _begin(self) -> None:
        super()._begin()
        self._idle: list[Session] = []
        self._endings = Endings()
        self._watched: list[weakref.ref[Any]] = []  # what was opened in mode observe

    def forked(self) -> None:
        """Leave the sessions to the parent, too: neither lend nor close them here."""
        self._of_parent += self._idle
        self._generation += 1
        super().forked()

    @property
    def lifetime(self) -> float:
        """For how many seconds a session may be lent."""
        return LIFETIME

    @property
    def idle_lifetime(self) -> float:
        """After how many seconds a session that nobody needs is closed."""
        return IDLE

    # --- what a driver says

    @abstractmethod
    def _is_alive(self, session: Session) -> bool:
        """Tell whether a session that nobody has is still connected."""

    def _is_shared(self, session: Session) -> bool:  # noqa: ARG002 - for drivers whose sessions have one object
        """Tell whether somebody still has a hand on a session that was given back."""
        return False

    @abstractmethod
    def _descriptor(self, handle: Any) -> int:
        """Return the socket of a session; it may raise an OSError."""

    @abstractmethod
    def _close(self, handle: Any) -> None:
        """Close a session; it must not raise."""

    @abstractmethod
    def _is_closed(self, connection: Any) -> bool:
        """Tell whether the user's connection is closed."""

    # --- sessions

    def end(self, handle: Any) -> None:
        """Close a session, and remember it until the server has ended it."""
        self.ending(handle)
        self._close(handle)

    def ending(self, handle: Any) -> None:
        """Take note of a session that is about to be closed."""
        with contextlib.suppress(OSError):
            self._endings.enter(self._descriptor(handle))

    def has_room(self) -> bool:
        """Tell whether one more session is not one too many for the server."""
        ending = self._endings.count()
        return ending == 0 or len(self._lent) + len(self._idle) + ending <= self.max_size

    def lend(self) -> Session | None:
        """Return a session for somebody who has a place; None if one is to be opened."""
        aside: list[Session] = []
        try:
            while (session := self._take()) is not None:
                if session.expires <= time.monotonic() or not self._is_alive(session):
                    self._drop(session)
                elif self._is_shared(session):
                    aside.insert(0, session)
                else:
                    return session
        finally:
            if aside:
                self._put_back(aside)
        return None

    def may_open(self) -> bool:
        """Tell whether what is opened now belongs here: the environment may have changed while a caller waited."""
        return self.environment in (None, environment())

    def wait_for_room(self) -> None:
        """Wait until one more session is not one too many for the server."""
        while not self.has_room():
            time.sleep(GLANCE)

    async def wait_for_room_async(self) -> None:
        """Wait until one more session is not one too many for the server."""
        while not self.has_room():  # noqa: ASYNC110 - it is the server that is waited for
            await asyncio.sleep(GLANCE)

    def opened(self, handle: Any) -> Session:
        """Take note of a session that was opened."""
        with self._locked():
            self._counters.opened += 1
            lifetime = self.lifetime * (1 - JITTER * random.random())  # noqa: S311 - no secret
            return Session(handle, time.monotonic() + lifetime, self._generation)

    def may_keep(self, session: Session) -> bool:
        """Tell whether a session that comes back is worth cleaning, to be lent again."""
        if session.generation != self._generation or self.mode is not Mode.ENFORCE:
            return False
        if len(self._lent) > self.max_size:
            return False
        if session.expires > time.monotonic():
            return True
        with self._locked():
            self._counters.expired += 1
        return False

    def discarded(self) -> None:
        """Take note of a session that is closed, as what was done in it cannot be undone."""
        with self._locked():
            self._counters.discarded += 1

    def close(self) -> None:
        """Close the sessions that nobody has; those that are out are closed when they come back."""
        self.end_idle()

    def end_idle(self) -> None:
        """Close the sessions that nobody has, and none of those there are will be lent again."""
        with self._locked():
            self._generation += 1
            idle, self._idle = self._idle, []
        for session in idle:
            self.end(session.handle)

    def close_idle(self, now: float) -> None:
        """Close the sessions that nobody has needed for long."""
        with self._locked():
            surplus = max(0, len(self._idle) + len(self._lent) - self.min_size)
            idle = [each for each in self._idle if now - each.idle_since > self.idle_lifetime][:surplus]
            self._idle = [each for each in self._idle if each not in idle]
        for session in idle:
            self.end(session.handle)

    def mode_changed(self) -> None:
        """Look at the mode again; if there is no pool any more, nothing is kept for it."""
        super().mode_changed()
        if self.mode is not Mode.ENFORCE:
            self.end_idle()

    def _take(self) -> Session | None:
        with self._locked():
            return self._idle.pop() if self._idle else None

    def _drop(self, session: Session) -> None:
        with self._locked():
            self._counters.expired += session.expires <= time.monotonic()
        self.end(session.handle)

    def _put_back(self, sessions: list[Session]) -> None:
        """Keep sessions that cannot be lent now, as far as there is room beside the one that will be."""
        with self._locked():
            room = max(0, self.max_size - len(self._lent) - len(self._idle))
            surplus = sessions[: len(sessions) - room] if room < len(sessions) else []
            self._idle[:0] = sessions[len(surplus) :]
        for session in surplus:
            self.end(session.handle)

    def _keep(self, session: Session) -> None:
        session.idle_since = time.monotonic()
        self._idle.append(session)

    def _count_idle(self) -> int:
        return len(self._idle)

    # --- what a pool would have done

    def watched(self, connection: C) -> C:
        """Count a connection that was opened in mode observe."""
        with self._locked():
            self._watched = [weakref.ref(each) for each in self._open_ones()]
            running, counters = len(self._watched), self._counters
            counters.note_unpooled(running, self.max_size, None)
            self._watched.append(weakref.ref(connection))
            counters.acquired += 1
            counters.opened += 1
            counters.peak_running = max(counters.peak_running, running + 1)
        return connection

    def _open_ones(self) -> Iterator[Any]:
        for reference in self._watched:
            connection = reference()
            if connection is not None and not self._is_closed(connection):
                yield connection

    def _count_running(self) -> int:
        return len(self._lent) + sum(1 for _ in self._open_ones())
