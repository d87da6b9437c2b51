"""What of the environment says to where, as whom and how a driver connects, beside its arguments."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["environment"]

# What libpq and asyncpg read where their arguments say nothing; some of it becomes a setting of the session.
_VARIABLES = (
    "PGAPPNAME",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGDIRECTTLS",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGGSSENCMODE",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLCOMPRESSION",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLKEY",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGSSLSNI",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
)
_BYTES = tuple(os.fsencode(name) for name in _VARIABLES)


def environment() -> tuple[Any, ...]:
    """Return the values of the variables; connections that were opened with others may be others."""
    if os.supports_bytes_environ:  # which takes half the time
        return tuple(map(os.environb.get, _BYTES))
    return tuple(map(os.environ.get, _VARIABLES))
