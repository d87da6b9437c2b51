"""A named pool of psycopg connections."""

from __future__ import annotations

import inspect
from typing import Any

import psycopg
from penstock_limits import ConfigurationError, Mode
from penstock_limits.introspection import CallSite
from psycopg.conninfo import conninfo_to_dict

from penstock_pooling._drop_ins.psycopg import AsyncConnection, PsycopgPool, lend_async, settings_of_object
from penstock_pooling._named.named_pool import NamedPool
from penstock_pooling._sessions.sessions import PATIENCE
from penstock_pooling._sessions.waiters import Loan
from penstock_pooling._settings import PoolSettings

__all__ = ["NamedPsycopgPool"]


class NamedPsycopgPool(NamedPool, PsycopgPool):  # pyright: ignore[reportIncompatibleMethodOverride] - its own end is awaited
    """Lends awaited connections of psycopg; an `async with` block commits, as psycopg's does, or rolls back."""

    def __init__(self, name: str, settings: PoolSettings, mode: Mode | None) -> None:
        super().__init__(name, settings, mode)
        dsn, self._arguments = settings.connect_with(name)
        self._dsn = dsn or ""
        try:
            conninfo_to_dict(self._dsn)
        except psycopg.ProgrammingError:  # it quotes the dsn
            raise ConfigurationError(
                f"pool {name!r}: its dsn, which is not shown, cannot be read; allowed is "
                f"postgresql://user:password@host:port/database, with what is special in a password percent-encoded"
            ) from None

    async def _pooled(self, site: CallSite, timeout: float | None) -> Any:  # noqa: ASYNC109 - the queue says what a timeout is
        loan = await self.borrow_async(site, timeout)
        if loan is None:
            return None
        async with self._in_time(timeout):
            return await lend_async(self, loan, settings_of_object(self._arguments), self._open_own)

    async def _connect(self) -> Any:
        return await psycopg.AsyncConnection.connect(self._dsn, **await self._told())

    async def _open_own(self) -> AsyncConnection:
        return await AsyncConnection.connect(self._dsn, **await self._told())

    async def _told(self) -> dict[str, Any]:
        """Return the arguments, with the password as it is now."""
        told = dict(self._arguments)
        if callable(told.get("password")):
            password = told["password"]()
            told["password"] = await password if inspect.isawaitable(password) else password
        return told

    async def _cancel(self, loan: Loan) -> None:
        connection = loan.connection and loan.connection()
        if connection is not None:
            await connection.cancel_safe(timeout=PATIENCE)

    def _cut_off(self, loan: Loan) -> None:
        connection = loan.connection and loan.connection()
        if connection is not None:
            self.end(connection.pgconn)
