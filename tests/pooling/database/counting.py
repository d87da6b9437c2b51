"""What the server knows of a pool."""

from __future__ import annotations

import asyncpg

OURS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name = $1"


async def sessions(admin: asyncpg.Connection, application_name: str = "") -> int:
    """Return how many sessions of an application the server has."""
    return await admin.fetchval(OURS, application_name)
