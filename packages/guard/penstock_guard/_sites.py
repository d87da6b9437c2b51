"""Which line of the user's program is to blame: libraries, pytest and penstock call on somebody's behalf."""

from __future__ import annotations

import os
import sys
import sysconfig
from types import FrameType

from penstock_limits.introspection import CallSite

__all__ = ["is_users", "modules_between", "site_here", "site_of", "stack_of"]

_FOLDERS = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_LIBRARIES = tuple(f"{folder}{os.sep}" for each in _FOLDERS for folder in {each, os.path.realpath(each)})
_WATCHERS = ("penstock_guard.", "blockbuster.")
_PLUMBING = ("asyncio.", "contextlib", "threading", "penstock_", "blockbuster.")


def site_here() -> CallSite | None:
    """Return the innermost line of the user's that has called; see `site_of`."""
    return site_of(sys._getframe(1))


def site_of(frame: FrameType | None) -> CallSite | None:
    """Return the innermost line outside libraries; without one, the innermost that is neither asyncio's nor ours."""
    fallback = None
    for each in _frames_of_call(frame):
        if is_users(each):
            return CallSite(each.f_code, each.f_lineno)
        if fallback is None and not _module(each).startswith(_PLUMBING):
            fallback = each
    return None if fallback is None else CallSite(fallback.f_code, fallback.f_lineno)


def modules_between(frame: FrameType | None) -> list[tuple[str, str]]:
    """Return modules and functions from a frame to the user's innermost, which is left out."""
    found = []
    for each in _frames_of_call(frame):
        if is_users(each):
            break
        found.append((_module(each), each.f_code.co_name))
    return found


def _frames_of_call(frame: FrameType | None) -> list[FrameType]:
    """Return the frames from the innermost to the outermost that the event loop or pytest has called."""
    found = []
    while frame is not None and not _is_callers_end(frame):
        found.append(frame)
        frame = frame.f_back
    return found


def stack_of(frame: FrameType) -> tuple[str, ...]:
    """Return where the code of a frame stands, outermost first, a line for each frame that is not the guard's."""
    frames = [each for each in _frames_of_call(frame) if not _module(each).startswith(_WATCHERS)]
    return tuple(str(CallSite(each.f_code, each.f_lineno)) for each in reversed(frames))


def is_users(frame: FrameType) -> bool:
    """Tell whether a frame is of the user's program or tests: no library's, nor ours."""
    path = frame.f_code.co_filename
    return not (path.startswith("<") or path.startswith(_LIBRARIES) or _module(frame).startswith("penstock_"))


def _is_callers_end(frame: FrameType) -> bool:
    """Tell whether a frame runs a step of a task or a test: what is above it has not called."""
    module = _module(frame)
    return module == "_pytest.python" or (module == "asyncio.events" and frame.f_code.co_name == "_run")


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""
