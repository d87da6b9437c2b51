"""Named HTTP clients: opened once for each process and event loop, lent to all, closed at the end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from importlib import import_module
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from penstock_limits import ConfigurationError, Limiter, Mode, emit, enter_resource, mode_of

from penstock_pooling._http.client_settings import ClientSettings
from penstock_pooling._http.client_statistics import ClientStatistics, Counters

__all__ = ["CAPABILITY", "HTTPClientManager", "own_client"]

CAPABILITY: Final = "managed-resources"
UNKNOWN: Final = "default"  # for what is counted, and has no settings


class HTTPClientManager:
    """Lends named HTTP clients, `async with clients.client("openai") as client`; an async context manager itself.

    Each borrower has a client object of its own for its block: headers, cookies, hooks and closing are its own affair.
    In mode `enforce` those of an event loop share connections and their limit, which stay when a borrower is gone. In
    mode `off` each opens and closes its own; `observe` does the same, and counts. It fits
    `ConcurrencyManager(clients=...)`.

    Args:
        clients: The settings by name.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `managed-resources`. It is read
            when a client is borrowed.
        close_timeout: How many seconds `close()` waits for borrowers.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(
        self,
        clients: Mapping[str, ClientSettings],
        *,
        mode: Mode | str | None = Mode.ENFORCE,
        close_timeout: float = 10.0,
    ) -> None:
        for name, settings in clients.items():
            if not isinstance(settings, ClientSettings):
                raise ConfigurationError(f"clients[{name!r}]: allowed is a ClientSettings")
        self._mode = None if mode is None else _parsed(mode)
        self._close_timeout = close_timeout
        self._closed = False
        self._settings = MappingProxyType(dict(clients))
        self._clients = {name: NamedClient(name, settings, self) for name, settings in clients.items()}
        self._default: NamedClient | None = None

    def __repr__(self) -> str:
        return f"<HTTPClientManager {self.mode}: {', '.join(sorted(self._clients)) or 'no clients'}>"

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `managed-resources`."""
        return self._mode or mode_of(CAPABILITY)

    @property
    def settings(self) -> Mapping[str, ClientSettings]:
        """The settings by name."""
        return self._settings

    def client(self, name: str, /) -> AbstractAsyncContextManager[Any]:
        """Lend a client for the length of an `async with` block.

        Raises:
            ConfigurationError: There is no client of this name; the message lists those there are.
            RuntimeError: The manager is closed.
        """
        if name not in self._clients:
            known = ", ".join(sorted(self._clients)) or "none"
            raise ConfigurationError(
                f"there is no HTTP client named {name!r}; known are: {known}. "
                f"Add [tool.penstock.clients.{name}], or use a known name."
            )
        return self._clients[name].lent()

    def default(self) -> AbstractAsyncContextManager[Any]:
        """Lend httpx with its defaults to somebody who asks for an unknown client; all of them are counted as one.

        Raises:
            RuntimeError: The manager is closed.
        """
        if self._default is None:
            self._default = NamedClient(UNKNOWN, ClientSettings(), self)
        return self._default.lent()

    def statistics(self, name: str, /) -> ClientStatistics:
        """Return a snapshot of a client's counters.

        Raises:
            ConfigurationError: There is no client of this name.
        """
        if name not in self._clients:
            raise ConfigurationError(f"there is no HTTP client named {name!r}")
        return self._clients[name].statistics()

    async def close(self) -> None:
        """Close every client, in this event loop and in others that still run; nothing is lent from now on.

        It waits `close_timeout` for borrowers, then closes what they still have, and says so with the event
        `client.closed`.
        """
        self._closed = True
        deadline = time.monotonic() + self._close_timeout
        for client in (*self._clients.values(), self._default):
            if client is not None:
                await client.close(deadline)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def check_open(self) -> None:
        """Refuse when it is closed.

        Raises:
            RuntimeError: It is.
        """
        if self._closed:
            raise RuntimeError("this HTTPClientManager is closed: borrow inside its `async with` block")


class NamedClient:
    """The clients of one name, in all event loops of the process."""

    def __init__(self, name: str, settings: ClientSettings, manager: HTTPClientManager) -> None:
        self._name = name
        self._settings = settings
        self._manager = manager
        # No lock guards these: one that another thread holds when the process is forked would never be free again.
        self._process = os.getpid()
        self._branches: dict[asyncio.AbstractEventLoop, Branch] = {}
        self._inherited: list[object] = []  # of the process this was forked from: not ours to close, nor to collect
        self._past = Counters()  # of loops that are closed
        enter_resource(self)

    def __repr__(self) -> str:
        return f"<HTTP client {self._name!r} {self._manager.mode}: {self._settings!r}>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "client"

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of its counters."""
        branches = [*self._branches.values()]
        counted = [self._past, *(branch.counters for branch in branches)]
        running = [branch.limiter.statistics() for branch in branches]
        return ClientStatistics(
            mode=self._manager.mode,
            lent=sum(each.lent for each in counted),
            borrowed=sum(each.borrowed for each in counted),
            opened=sum(each.opened for each in counted),
            requests=sum(each.requests for each in counted),
            connections=sum(each.connections for each in counted),
            running=sum(each.running for each in running),
            queued=sum(each.queued for each in running),
            max_connections=self._settings.max_connections,
            replaced=sum(each.replaced for each in counted),
        )

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Any]:
        """Lend it, as its mode is now."""
        self._manager.check_open()
        mode = self._manager.mode
        if mode is Mode.OFF:
            async with own_client(self._settings) as client:
                yield client
            return
        branch = self._branch()
        with branch.lending():
            async with branch.lent_client() if mode is Mode.ENFORCE else branch.own_client() as client:
                yield client

    async def close(self, deadline: float) -> None:
        """Close its clients in every loop that runs."""
        here = asyncio.get_running_loop()
        branches = dict(self._branches) if self._process == os.getpid() else {}
        for loop, branch in branches.items():
            if loop is here:
                await branch.close(deadline)
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(branch.close(deadline), loop)
                await asyncio.wait([asyncio.wrap_future(closing)], timeout=max(1.0, deadline - time.monotonic()))

    def _branch(self) -> Branch:
        if self._process != os.getpid():
            self._inherited.append(self._branches)
            self._branches, self._past, self._process = {}, Counters(), os.getpid()
        loop = asyncio.get_running_loop()
        branch = self._branches.get(loop)
        if branch is None:
            self._forget_closed_loops()
            branch = self._branches.setdefault(loop, Branch(self._name, self._settings))
        return branch

    def _forget_closed_loops(self) -> None:
        for loop in [each for each in tuple(self._branches) if each.is_closed()]:
            branch = self._branches.pop(loop, None)
            if branch is not None:  # no other thread was faster
                self._past.add(branch.counters)


class Branch:
    """What there is of a named client in one event loop; used in its thread only."""

    def __init__(self, name: str, settings: ClientSettings) -> None:
        self._name = name
        self._settings = settings
        self._clients = _clients_of(settings.module)
        self._shared: Any = None
        self._lent: set[Any] = set()  # clients over it that borrowers have
        self._ending: AsyncGenerator[None, None] | None = None
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Event()  # nobody has it
        self.counters = Counters()
        self.limiter = Limiter(f"{name}-connections", max_running=settings.max_connections)

    @contextmanager
    def lending(self) -> Iterator[None]:
        """Count a borrower."""
        self.counters.borrowed += 1
        self.counters.lent += 1
        self._free.clear()
        try:
            yield
        finally:
            self.counters.lent -= 1
            if not self.counters.lent:
                self._free.set()

    @asynccontextmanager
    async def lent_client(self) -> AsyncIterator[Any]:
        """Lend a client of the borrower's own over what all share."""
        client = self._clients.lent(await self._opened(), self._settings)
        self._lent.add(client)
        try:
            yield client
        finally:
            self._lent.discard(client)
            await self._clients.close(client)

    @asynccontextmanager
    async def own_client(self) -> AsyncIterator[Any]:
        """Lend a client of the borrower's own, and count what it does."""
        async with self._clients.own(self._settings, self.counters) as client:
            self.counters.opened += 1
            yield client

    async def close(self, deadline: float) -> None:
        """Close what is shared when nobody has it any more, or at a time of `time.monotonic`."""
        if self.counters.lent:
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._free.wait()
        if self.counters.lent and self._shared is not None:
            emit("client.closed", self._name, lent=self.counters.lent)
        await self._close_shared()

    async def _opened(self) -> Any:
        """Return what all borrowers share, opened if there is none yet, or somebody has closed it."""
        if self._shared is None or self._shared.closed:
            self._shared = self._clients.shared(self._settings, self.counters, self.limiter, self._tell_replaced)
            self.counters.opened += 1
            if self._ending is None:
                self._ending = self._close_with_loop()
                await anext(self._ending)
            self._keep()
        return self._shared

    def _keep(self) -> None:
        """Keep it alive until it is closed or its loop is: collected with its connections open, it would complain."""
        for each in [each for each in tuple(_open) if each._loop.is_closed()]:
            _open.discard(each)
        _open.add(self)

    async def _close_shared(self) -> None:
        _open.discard(self)
        shared, self._shared = self._shared, None
        for client in [*self._lent]:
            await self._clients.close(client)
        if shared is not None:
            await shared.close()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        """Close it when the event loop ends: `asyncio.run` closes the generators that are still open."""
        try:
            yield
        finally:
            await self._close_shared()

    def _tell_replaced(self, using: int) -> None:
        self.counters.replaced += 1
        emit("client.pool_replaced", self._name, why="connections were lost", requests=using)


_open: set[Branch] = set()  # those with something shared


def own_client(settings: ClientSettings) -> AbstractAsyncContextManager[Any]:
    """Return a client that nobody else has, as the module makes it; nothing is counted."""
    client: AbstractAsyncContextManager[Any] = _clients_of(settings.module).own(settings, None)
    return client


def _clients_of(module: str) -> Any:
    try:
        return import_module(f"penstock_pooling._http.{module}").CLIENTS
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module:
            raise
        raise ConfigurationError(
            f"module = {module!r} is not installed: install penstock-pooling[{module}], or choose another"
        ) from error


def _parsed(mode: Mode | str) -> Mode:
    try:
        return Mode(mode)
    except ValueError:
        raise ConfigurationError(f"mode = {mode!r} is no mode; allowed are off, observe, enforce") from None
