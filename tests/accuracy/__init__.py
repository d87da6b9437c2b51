"""How right the audit is on code that nobody here wrote: `python -m tests.accuracy`."""
