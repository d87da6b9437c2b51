"""The drivers whose connections block, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import penstock_pooling.psycopg
import penstock_pooling.psycopg2
import psycopg
import psycopg2
import psycopg2.errors
import psycopg2.extensions


@dataclass(frozen=True)
class Driver:
    """A driver, and what stands in for its `connect`."""

    name: str
    connect: Callable[..., Any]
    own_connect: Callable[..., Any]
    module: Any
    connection: type


DRIVERS = [
    Driver("psycopg", penstock_pooling.psycopg.connect, psycopg.connect, psycopg, psycopg.Connection),
    Driver("psycopg2", penstock_pooling.psycopg2.connect, psycopg2.connect, psycopg2, psycopg2.extensions.connection),
]


def ask(connection: Any, query: str, *parameters: Any) -> Any:
    """Return the first value of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return cursor.fetchone()[0]


def do(connection: Any, statement: str) -> None:
    """Run a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
