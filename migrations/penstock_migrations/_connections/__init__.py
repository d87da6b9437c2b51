"""Finds connections, engines and clients of databases, and says whether each operation opens its own."""
