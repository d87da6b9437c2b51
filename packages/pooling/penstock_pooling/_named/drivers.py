"""Named pools of other drivers, which are imported when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock_pooling._named.named_pool import NamedPool

if TYPE_CHECKING:
    from penstock_limits import Mode

    from penstock_pooling._settings import PoolSettings

__all__ = ["is_of_asyncpg", "named_pool"]


def named_pool(name: str, settings: PoolSettings, mode: Mode | None) -> Any:
    """Make a pool of psycopg connections, or that of an SQLAlchemy engine.

    Raises:
        ConfigurationError: The dsn cannot be read, or the environment variable that holds it is not set.
        ImportError: The driver is not installed; the message says how to.
    """
    try:
        if settings.driver == "psycopg":
            from penstock_pooling._named.psycopg_pool import NamedPsycopgPool

            return NamedPsycopgPool(name, settings, mode)
        from penstock_pooling._named.engine_pool import NamedEnginePool

        return NamedEnginePool(name, settings, mode)
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'penstock-pooling[{settings.driver}]'", name=error.name) from error


def is_of_asyncpg(pool: Any) -> bool:
    """Tell whether a pool is one of asyncpg connections."""
    return not isinstance(pool, NamedPool)
