"""What drivers read of the environment where an argument is not given."""

from __future__ import annotations

import os

__all__ = ["environment"]

_VARIABLES = (
    "PGDATABASE",
    "PGDIRECTTLS",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCRL",
    "PGSSLKEY",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGTARGETSESSIONATTRS",
    "PGUSER",
)


def environment() -> tuple[str | None, ...]:
    """Return what completes the arguments of a driver: to whom, as whom and how to connect."""
    return tuple(map(os.environ.get, _VARIABLES))
