"""Pools by name, of any driver: the DatabasePoolManager."""
