"""A named pool that is the pool of an SQLAlchemy engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from penstock_limits import ConfigurationError, Mode
from penstock_limits.introspection import CallSite, call_site
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

from penstock_pooling._drop_ins.sqlalchemy import AsyncSharedPool, EnginePool
from penstock_pooling._named.named_pool import NamedPool
from penstock_pooling._pools.callers import LIBRARIES
from penstock_pooling._sessions.sessions import PATIENCE
from penstock_pooling._sessions.waiters import Loan
from penstock_pooling._settings import PoolSettings

__all__ = ["NamedEnginePool"]

_patience: ContextVar[float | None] = ContextVar("patience", default=None)


class NamedEnginePool(NamedPool, EnginePool):  # pyright: ignore[reportIncompatibleMethodOverride] - its own end is awaited
    """Lends connections of an engine, which is its attribute `engine`, for sessions of the ORM."""

    def __init__(self, name: str, settings: PoolSettings, mode: Mode | None) -> None:
        super().__init__(name, settings, mode)
        dsn, arguments = settings.connect_with(name)
        password = arguments.pop("password", None)
        try:
            url = make_url(dsn or "")
            if isinstance(password, str):
                url = url.set(password=password)
            self.engine = create_async_engine(url, poolclass=_NamedAsyncPool, connect_args=arguments)
        except (ArgumentError, InvalidRequestError, NoSuchModuleError):  # they may quote the dsn
            raise ConfigurationError(
                f"pool {name!r}: its dsn, which is not shown, is none of SQLAlchemy for an awaited driver; allowed is "
                f"postgresql+asyncpg://user:password@host:port/database, or postgresql+psycopg://"
            ) from None
        self.engine.sync_engine.pool.sessions = self
        if callable(password):
            event.listen(self.engine.sync_engine, "do_connect", _asks_for(password))

    async def _pooled(self, site: CallSite, timeout: float | None) -> Any:  # noqa: ARG002, ASYNC109 - the queue says what a timeout is
        return await self._started(timeout)

    def _is_closed(self, connection: Any) -> bool:
        return bool(connection.closed)

    async def _connect(self) -> Any:
        return await self._started(None)

    async def _started(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - likewise
        token = _patience.set(timeout)
        try:
            return await self.engine.connect()
        finally:
            _patience.reset(token)

    async def _cancel(self, loan: Loan) -> None:
        for record in self._records(loan):
            connection = record.driver_connection
            if hasattr(connection, "cancel_safe"):
                await connection.cancel_safe(timeout=PATIENCE)
            elif self.engine.dialect.driver == "asyncpg":
                from penstock_pooling._asyncpg.ending import backend_of, cancel_query

                await cancel_query(connection, backend_of(connection))

    def _cut_off(self, loan: Loan) -> None:
        for record in self._records(loan):
            self.end(record)

    def _records(self, loan: Loan) -> list[Any]:
        return [record for record, (each, _) in self.engine.pool.out.items() if each is loan]

    async def _end_idle(self) -> None:
        await greenlet_spawn(self.end_idle)  # where the driver can say goodbye


class _NamedAsyncPool(AsyncSharedPool):
    """The pool of an engine whose connections wait as long as the caller says, and not for a pool that is closed."""

    sessions: NamedEnginePool  # pyright: ignore[reportIncompatibleVariableOverride] - one of them

    def _do_get(self) -> Any:
        self.sessions.check()
        return super()._do_get()

    def _place(self) -> Loan | None:
        loan = await_only(self.sessions.borrow_async(call_site(*LIBRARIES), _patience.get()))
        if loan is None:
            self.sessions.check()  # the mode has changed, else
        return loan


def _asks_for(password: Callable[[], Any]) -> Callable[..., None]:
    def ask(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        told = password()
        parameters["password"] = await_only(told) if inspect.isawaitable(told) else told

    return ask
