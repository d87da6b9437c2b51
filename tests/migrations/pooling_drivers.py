"""Drivers that connect to nothing and write down what they are asked, and two runtimes: switched off, and a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any


class FailureError(Exception):
    """What the drivers raise, whatever they call it."""


class Record:
    """What was asked of the drivers, in order; one step can be made to fail.

    Attributes:
        asked: What was asked.
        held: How many connections are open.
        most: How many were open at once.
    """

    def __init__(self, fail_at: int | None = None, error: type[BaseException] = FailureError) -> None:
        self.asked: list[Any] = []
        self.held = self.most = 0
        self._fail_at = fail_at
        self._error = error

    def step(self, *what: Any) -> None:
        self.asked.append(what)
        if len(self.asked) == self._fail_at:
            raise self._error

    def opened(self) -> None:
        self.held += 1
        self.most = max(self.most, self.held)


class Cursor:
    """A cursor of a connection that blocks."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def execute(self, *statement: Any) -> Cursor:
        self.record.step("execute", *statement)
        return self

    def fetchone(self) -> int:
        self.record.step("fetchone")
        return 1

    def close(self) -> None:
        self.record.asked.append(("cursor closed",))

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Connection:
    """A connection that blocks; only psycopg's is closed by `with`."""

    def __init__(self, record: Record, closes: Callable[[], None], *, closes_at_exit: bool) -> None:
        self.record = record
        self.closed = False
        self._closes = closes
        self._closes_at_exit = closes_at_exit

    def cursor(self, *_: Any) -> Cursor:
        return Cursor(self.record)

    def execute(self, *statement: Any) -> Cursor:
        return self.cursor().execute(*statement)

    def commit(self) -> None:
        self.record.step("commit")

    def rollback(self) -> None:
        self.record.asked.append(("rollback",))

    def close(self) -> None:
        self.record.asked.append(("close",))
        if not self.closed:
            self.closed = True
            self._closes()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        if self._closes_at_exit:
            self.close()


class Transaction:
    """A transaction of an asynchronous connection."""

    def __init__(self, record: Record) -> None:
        self.record = record

    async def __aenter__(self) -> None:
        self.record.step("begin")

    async def __aexit__(self, *_: object) -> None:
        self.record.step("end")


class AsyncCursor:
    """A cursor of psycopg's asynchronous connection."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __repr__(self) -> str:
        return "AsyncCursor()"

    async def fetchone(self) -> int:
        await asyncio.sleep(0)
        self.record.step("fetchone")
        return 1


class AsyncConnection:
    """An asynchronous connection, as far as asyncpg's and psycopg's are asked for here."""

    def __init__(self, record: Record, closes: Callable[[], None]) -> None:
        self.record = record
        self._closed = False
        self._closes = closes

    async def fetchval(self, *statement: Any) -> int:
        await asyncio.sleep(0)
        self.record.step("fetchval", *statement)
        return len(statement)

    async def execute(self, *statement: Any) -> AsyncCursor:
        await asyncio.sleep(0)
        self.record.step("execute", *statement)
        return AsyncCursor(self.record)

    def transaction(self) -> Transaction:
        return Transaction(self.record)

    def is_closed(self) -> bool:
        return self._closed

    async def close(self) -> None:
        self.record.asked.append(("close",))
        if not self._closed:
            self._closed = True
            self._closes()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def drivers(record: Record) -> dict[str, ModuleType]:
    """Return modules like asyncpg, psycopg and psycopg2, by name."""

    def closes() -> None:
        record.held -= 1

    async def connect_async(*arguments: Any, **named: Any) -> AsyncConnection:
        await asyncio.sleep(0)
        record.step("connect", arguments, named)
        record.opened()
        return AsyncConnection(record, closes)

    def connect(*arguments: Any, closes_at_exit: bool, **named: Any) -> Connection:
        record.step("connect", arguments, named)
        record.opened()
        return Connection(record, closes, closes_at_exit=closes_at_exit)

    errors = dict.fromkeys(("Error", "OperationalError", "PostgresError", "UniqueViolationError"), FailureError)
    return {
        "asyncpg": module("asyncpg", connect=connect_async, **errors),
        "psycopg": module(
            "psycopg",
            connect=lambda *arguments, **named: connect(*arguments, closes_at_exit=True, **named),
            AsyncConnection=type("AsyncConnection", (), {"connect": staticmethod(connect_async)}),
            **errors,
        ),
        "psycopg2": module(
            "psycopg2", connect=lambda *arguments, **named: connect(*arguments, closes_at_exit=False, **named), **errors
        ),
    }


def switched_off(known: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Return a `penstock_pooling` with its mode off: each drop-in is the old call, looked up when it is called."""
    asyncpg, psycopg, psycopg2 = known["asyncpg"], known["psycopg"], known["psycopg2"]
    inner = {
        "psycopg": module(
            "penstock_pooling.psycopg",
            connect=lambda *arguments, **named: psycopg.connect(*arguments, **named),
            AsyncConnection=psycopg.AsyncConnection,
        ),
        "psycopg2": module(
            "penstock_pooling.psycopg2", connect=lambda *arguments, **named: psycopg2.connect(*arguments, **named)
        ),
    }

    async def connect(*arguments: Any, **named: Any) -> Any:
        return await asyncpg.connect(*arguments, **named)

    outer = module("penstock_pooling", connect=connect, **inner)
    return {"penstock_pooling": outer} | {f"penstock_pooling.{name}": one for name, one in inner.items()}


def module(name: str, **attributes: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(attributes)
    return made
