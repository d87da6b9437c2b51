"""The capability that switches pools of database connections on."""

__all__ = ["CAPABILITY"]

CAPABILITY = "pooled-database"
