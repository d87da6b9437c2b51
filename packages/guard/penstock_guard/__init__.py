"""A pytest plugin: a test that leaks, blocks the event loop or fans out without a limit fails."""

__all__: list[str] = []
