"""Tasks that have an owner, a limit and an end."""
