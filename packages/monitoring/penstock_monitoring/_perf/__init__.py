"""Baselines: what a run costs is recorded, and compared until a sequential test decides."""
