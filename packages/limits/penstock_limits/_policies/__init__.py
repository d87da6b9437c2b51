"""A call under all of them, in one order."""
