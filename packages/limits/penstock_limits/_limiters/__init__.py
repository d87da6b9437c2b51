"""How many calls run at once."""
