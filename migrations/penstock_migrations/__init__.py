"""Audit, codemod, verify and gate: finds concurrency defects in Python code and rewrites them phase by phase."""
