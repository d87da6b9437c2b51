"""What the server of a pool allows, and whether a pooler stands in front of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import asyncpg
from penstock_limits import ConfigurationError, emit

__all__ = ["has_pooler"]

logger = logging.getLogger("penstock.pooling")

# Of the sessions of others, an ordinary role does not see what kind they are; those with a user and a database count.
_QUESTION = """
SELECT pg_backend_pid() AS pid,
       current_setting('max_connections')::int AS most,
       current_setting('superuser_reserved_connections')::int AS for_superusers,
       CASE WHEN coalesce(current_setting('reserved_connections', true)::int, 0) = 0 THEN 0
            WHEN pg_has_role(session_user, 'pg_use_reserved_connections', 'USAGE') THEN 0
            ELSE current_setting('reserved_connections', true)::int END AS reserved,
       role.rolsuper AS is_superuser,
       role.rolconnlimit AS of_role,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,
       others.*
FROM pg_roles AS role,
     (SELECT count(*)::int AS others,
             count(*) FILTER (WHERE usename = session_user)::int AS others_of_role,
             count(*) FILTER (WHERE datname = current_database())::int AS others_of_database
      FROM pg_stat_activity
      WHERE coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()
            AND usesysid IS NOT NULL AND datid IS NOT NULL) AS others
WHERE role.rolname = session_user
"""


@dataclass(frozen=True)
class Server:
    """What a server says of itself.

    Attributes:
        has_pooler: Whether another process than the server's is at the other end, such as pgbouncer. Such a pooler may
            give each transaction another session, so nothing can be prepared for later.
        most: How many connections it may have with this user and database.
        allowed: How many it may have by the limit that leaves least room now.
        others: How many of those it has, beside the one that asks.
    """

    has_pooler: bool
    most: int
    allowed: int
    others: int


async def _look_at(connection: Any) -> Server:
    """Ask the server of a connection; in one transaction, and with nothing prepared that would stay.

    Raises:
        asyncpg.PostgresError: It does not know what PostgreSQL knows.
    """
    async with connection.transaction():
        question = await connection.prepare(_QUESTION, name="")
        row = await question.fetchrow()
    if row["is_superuser"]:
        limits = [(row["most"], row["others"])]
    else:
        limits = [(row["most"] - row["for_superusers"] - row["reserved"], row["others"])]
        limits += [
            (row[f"of_{what}"], row[f"others_of_{what}"]) for what in ("role", "database") if row[f"of_{what}"] >= 0
        ]
    allowed, others = min(limits, key=lambda limit: limit[0] - limit[1])
    return Server(row["pid"] != connection.get_server_pid(), min(most for most, _ in limits), allowed, others)


async def has_pooler(connection: Any, pool: str, max_size: int, *, is_opening: bool) -> bool:
    """Tell whether a pooler is at the other end of a pool's first connection; else see that the pool is not too big.

    Args:
        connection: The connection.
        pool: The pool's name.
        max_size: Connections that it may open.
        is_opening: Whether it is being opened, and may still be refused.

    Returns:
        Whether there is a pooler; False if what answers is no PostgreSQL that would say.

    Raises:
        ConfigurationError: The server allows fewer connections.
    """
    try:
        server = await _look_at(connection)
    except asyncpg.PostgresError as error:
        logger.debug("pool %r cannot tell what its server allows: %s", pool, error)
        return False
    if server.has_pooler:
        return True
    if max_size > server.most and is_opening:
        raise ConfigurationError(
            f"pool {pool!r}: max_size = {max_size}; its server allows at most {server.most} "
            f"connections. Lower max_size, or raise the server's max_connections"
        )
    if max_size + server.others > server.allowed:
        emit("pool.oversized", pool, max_size=max_size, others=server.others, allowed=server.allowed)
    return False
