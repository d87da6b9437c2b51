"""The pool of asyncpg connections."""
