"""Limits by name, for the whole process."""
