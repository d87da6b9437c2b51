"""The connection that a borrower of the drop-in gets: one of its own, which gives its session back when closed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import asyncpg

from penstock_pooling._connect.session_state import NOTHING, SessionState, left_by

if TYPE_CHECKING:
    from penstock_pooling._connect.connect_pool import ConnectPool
    from penstock_pooling._connect.session import Session

__all__ = ["LentConnection", "Loan", "lent_class", "lent_upon"]


@dataclass(slots=True)
class Loan:
    """What a borrower has of a pool.

    Attributes:
        pool: The pool.
        session: The connection of the pool that it stands upon.
        state: What it will leave behind in the session, as far as that is seen.
        codecs: The types for which it has set, or taken away, a codec.
        dropped: Whether it was forgotten without being closed.
    """

    pool: ConnectPool
    session: Session
    state: SessionState = NOTHING
    codecs: frozenset[int] = frozenset()
    dropped: bool = False


class LentConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection upon a session of a pool.

    It is made for one borrower, as `asyncpg.connect` makes one, and shares nothing with the next but the session
    itself. Closing it, or cutting it off, leaves an object that is closed for good.
    """

    __slots__ = ()  # its own is in the classes that `lent_class()` makes: their other base may have slots, too

    _aborted: bool
    _cancellations: set[asyncio.Task[None]]
    _loan: Loan | None
    _protocol: Any

    def _detach(self) -> Loan:
        """Become closed, and return what was borrowed."""
        loan, protocol = self._loan, self._protocol
        assert loan is not None
        if self._listeners:
            loan.state |= left_by("LISTEN")
        # Cancellations on their way go on, with somebody that refers to them.
        loan.session._cancellations, self._cancellations = self._cancellations, set()  # type: ignore[misc] # its base's
        self.stand_on(None)
        self._protocol = _ClosedProtocol(protocol)
        protocol.set_connection(loan.session)
        super()._cleanup()
        return loan

    def __del__(self) -> None:
        loan = getattr(self, "_loan", None)
        if loan is not None:
            loan.dropped = True
        super().__del__()

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as asyncpg has it
        """Give the session back; for the borrower, the connection is closed.

        Args:
            timeout: How many seconds that may take; None for the `command_timeout` of the connection, but no more than
                some seconds, after which the session is cut off.

        Raises:
            PoolPlaceError: It was borrowed in another event loop.
            TimeoutError: It took longer than `timeout`; the session is cut off.
        """
        loan = self._loan
        if loan is None:
            await super().close(timeout=timeout)
        elif not loan.pool.is_here():
            self._leave_to_parent()
        else:
            loan.pool.check_loop()
            await loan.pool.take_back(self._detach(), timeout)

    def terminate(self) -> None:
        """Cut the connection off; its place comes free as soon as the server has let go."""
        loan = self._loan
        if loan is None:
            super().terminate()
        elif not loan.pool.is_here():
            self._leave_to_parent()
        else:
            self._detach()
            self._aborted = True  # type: ignore[misc] # its base's
            self._protocol = _CutOffProtocol(self._protocol)
            loan.pool.end(loan)

    def _cleanup(self) -> None:
        """Let the pool know if the connection was lost, or closed behind its back."""
        super()._cleanup()
        loan = self._loan
        if loan is not None:
            self.stand_on(None)
            loan.session._cleanup()

    def stand_on(self, loan: Loan | None) -> None:
        """Take a session, or let it go."""
        self._loan = loan  # type: ignore[misc] # the slot is in the classes of `lent_class()`

    def forget(self) -> None:
        """Become closed without touching the session, as an object that is only half made."""
        self._aborted, self._protocol = True, None  # type: ignore[misc] # its base's

    def _leave_to_parent(self) -> None:
        """Become closed in a forked child: the session is the parent's, which goes on with it."""
        self.stand_on(None)
        self._protocol = _ClosedProtocol(self._protocol)

    # --- what is seen of what it leaves behind

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As for asyncpg."""
        self._note(query)
        return await super().execute(query, *args, timeout=timeout)

    async def copy_from_query(self, query: str, *args: Any, **kwargs: Any) -> Any:
        """As for asyncpg."""
        self._note(query)
        return await super().copy_from_query(query, *args, **kwargs)

    async def _get_statement(self, query: str, *args: Any, **kwargs: Any) -> Any:
        self._note(query)
        return await super()._get_statement(query, *args, **kwargs)

    async def _introspect_type(self, typename: str, schema: str) -> Any:
        """Asked when a codec is set, or taken away."""
        found = await super()._introspect_type(typename, schema)
        if self._loan is not None:
            self._loan.codecs |= {found["oid"]}
        return found

    def _note(self, query: object) -> None:
        if self._loan is not None and isinstance(query, str) and (left := left_by(query)) is not NOTHING:
            self._loan.state |= left


class _ClosedProtocol:
    """Answers as the protocol of a closed connection does."""

    def __init__(self, protocol: Any) -> None:
        self.backend_pid, self.backend_secret = protocol.backend_pid, protocol.backend_secret
        self._settings = protocol.get_settings()
        self._record_class = protocol.get_record_class()
        self._in_transaction = protocol.is_in_transaction()

    def is_connected(self) -> bool:
        return False

    def is_in_transaction(self) -> bool:
        return bool(self._in_transaction)

    def get_server_pid(self) -> Any:
        return self.backend_pid

    def get_settings(self) -> Any:
        return self._settings

    def get_record_class(self) -> Any:
        return self._record_class

    def _is_cancelling(self) -> bool:
        return False

    def abort(self) -> None:
        """Nothing is left to cut off."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _refuse


class _CutOffProtocol:
    """Has no more than None has, which a connection has that was cut off, but for what its cancellations still need."""

    __slots__ = ("backend_pid", "backend_secret")

    def __init__(self, protocol: Any) -> None:
        self.backend_pid, self.backend_secret = protocol.backend_pid, protocol.backend_secret


def _refuse(*_: Any, **__: Any) -> Any:
    raise asyncpg.InterfaceError("cannot perform operation: connection is closed")


@lru_cache(64)
def lent_class(connection_class: type) -> type[LentConnection]:
    """Return the class of what is lent to somebody who asks for connections of a class.

    Raises:
        TypeError: There can be none.
    """
    bases = (LentConnection,) if connection_class is asyncpg.Connection else (connection_class, LentConnection)
    names = {
        "__module__": connection_class.__module__,
        "__qualname__": connection_class.__qualname__,
        "__doc__": connection_class.__doc__,
        "__slots__": ("_loan",),
    }
    kind: Any = type(connection_class)
    made: type[LentConnection] = kind(connection_class.__name__, bases, names)
    return made


def lent_upon(loan: Loan, connection_class: type) -> LentConnection:
    """Make a connection that stands upon a session.

    Args:
        loan: The session.
        connection_class: The class that the borrower wants.

    Raises:
        Exception: What that class raises when one is made.
    """
    session, kind = loan.session, lent_class(connection_class)
    parts = session._protocol, session._transport, session._loop, session._addr, session._config, session._params
    lent: LentConnection = kind.__new__(kind, *parts)  # type: ignore[call-arg] # of a library without types
    lent.stand_on(None)
    try:
        lent.__init__(*parts)  # type: ignore[misc] # what a call of the class does, but for what follows
    except BaseException:
        lent.forget()
        raise
    lent.stand_on(loan)
    session._protocol.set_connection(lent)
    return lent
