"""Suites that tests of the guard copy and run: they are meant to be bad, or good."""
