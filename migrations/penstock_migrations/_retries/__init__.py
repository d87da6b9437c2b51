"""Retries: what is tried again, how often, and how long it waits in between."""
