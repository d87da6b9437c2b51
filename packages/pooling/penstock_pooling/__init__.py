"""Database and HTTP connections that are opened once, lent fairly, watched and closed.

Drivers and clients are imported when they are asked for, not before.
"""
