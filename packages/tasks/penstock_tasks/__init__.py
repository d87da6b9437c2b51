"""Every task and thread has an owner, a limit and an end."""

__all__: list[str] = []
