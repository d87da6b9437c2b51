"""A pytest plugin: a test that leaks, blocks the event loop or fans out without a limit is accused, or fails.

pytest loads it by itself. It does nothing until it is asked to: `pytest --penstock-guard=report`.
"""

from penstock_guard._accusations import Accusation

__all__ = ["Accusation"]
