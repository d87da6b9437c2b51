"""How much of everything is allowed."""
