"""What logs and events say of work: more people read them than the program's own data."""

from __future__ import annotations

import re
from typing import Final

from penstock_limits.introspection import CallSite

__all__ = ["HIDDEN", "raised_at", "shown_name"]

HIDDEN: Final = "***"
_OF_A_THREAD: Final = re.compile(r"Thread-\d+ \(\S+\)")  # CPython's own, with the name of what it runs


def shown_name(name: str) -> str:
    """Return the name of a task or a thread, if it is one: people put prompts and the like into names with spaces."""
    return name if len(name.split()) == 1 or _OF_A_THREAD.fullmatch(name) else HIDDEN


def raised_at(error: BaseException | None) -> CallSite | None:
    """Return the line that has raised an error: where it is, not what it says."""
    traceback = None if error is None else error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return None if traceback is None else CallSite(traceback.tb_frame.f_code, traceback.tb_lineno)
