"""Pools of database connections."""
