"""Turns findings into edits of files, the entry point and the dependency declaration, and writes them."""
