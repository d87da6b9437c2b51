"""Finds circuit breakers in a module, what they guard, and how they are passed by."""
