"""What the server of a pool allows, and whether a pooler stands in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Server", "look_at"]

_QUESTION = """
SELECT pg_backend_pid() AS pid,
       current_setting('max_connections')::int AS most,
       current_setting('superuser_reserved_connections')::int AS reserved,
       role.rolsuper AS is_superuser,
       role.rolconnlimit AS of_role,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,
       (SELECT count(*)::int FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS others
FROM pg_roles AS role WHERE role.rolname = session_user
"""


@dataclass(frozen=True)
class Server:
    """What a server says of itself.

    Attributes:
        has_pooler: Whether another process than the server's is at the other end, such as pgbouncer. Such a pooler may
            give each transaction another session, so nothing can be prepared for later.
        allowed: How many connections it may have with this user and database.
        others: How many connections it has, beside the one that asks.
    """

    has_pooler: bool
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
    limits = [row["most"] if row["is_superuser"] else row["most"] - row["reserved"]]
    if not row["is_superuser"]:
        limits += [limit for limit in (row["of_role"], row["of_database"]) if limit >= 0]
    return Server(row["pid"] != connection.get_server_pid(), min(limits), row["others"])
