"""Clients, files, executors and tasks: who makes them, and who closes them."""
