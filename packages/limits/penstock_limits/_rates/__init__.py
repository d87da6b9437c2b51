"""How much is sent in a time."""
