"""The pools of databases and HTTP clients."""
