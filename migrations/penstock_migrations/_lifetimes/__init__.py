"""Follows what must be closed, from where it is made to where it is closed, kept, handed on or lost."""
