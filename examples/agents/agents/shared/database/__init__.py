"""Database connections, opened once and lent."""
