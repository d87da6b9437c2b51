"""What the server of a pool allows, and whether a pooler stands in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Server", "look_at"]

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


async def look_at(connection: Any) -> Server:
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
