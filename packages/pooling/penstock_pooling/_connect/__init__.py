"""The drop-in for `asyncpg.connect`: its pools, and the connections that it lends."""
