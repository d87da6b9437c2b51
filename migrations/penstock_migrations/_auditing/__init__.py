"""Reads files, runs the rules on them, and keeps what was found."""
