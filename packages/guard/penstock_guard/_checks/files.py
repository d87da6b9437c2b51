"""Files that a test opens and leaves open."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import site_here

__all__ = ["Files"]

REMEDY: Final = ("PEN604", "Open it with `with`.")
DESCRIPTORS: Final = next((folder for folder in ("/proc/self/fd", "/dev/fd") if Path(folder).is_dir()), None)
Identity = tuple[int, int]


class _Ear:
    """The one audit hook of the process, as hooks cannot be taken back: deaf while no test is watched."""

    def __init__(self) -> None:
        self.told: Callable[[Any], None] | None = None
        self._hooked = False
        self._hearing = threading.local()

    def listen(self, told: Callable[[Any], None]) -> Callable[[], None]:
        """Call a function with each path that is opened, until what is returned is called."""
        if not self._hooked:
            self._hooked = True
            sys.addaudithook(self._hear)
        before, self.told = self.told, told

        def stop() -> None:
            self.told = before

        return stop

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or self.told is None or getattr(self._hearing, "now", False):
            return
        self._hearing.now = True
        try:
            self.told(arguments[0])
        except Exception:  # noqa: BLE001, S110 - what the guard cannot note must not fail the program
            pass
        finally:
            self._hearing.now = False


_ear = _Ear()


class _State:
    def __init__(self) -> None:
        self.before = _regular_files()
        self.opened: dict[str, CallSite | None] = {}


class Files:
    """Compares the open descriptors of files; what opened them is heard by an audit hook."""

    names = ("file",)

    def before(self, watch: Watch) -> _State | None:
        """Begin to listen, where descriptors can be listed."""
        if DESCRIPTORS is None:
            return None
        state = _State()

        def opened(path: Any) -> None:
            if isinstance(path, (str, bytes, os.PathLike)) and watch.test.owns_this():
                state.opened[os.path.abspath(os.fsdecode(path))] = site_here()  # noqa: PTH100 - links are as they are

        watch.test.when_done(_ear.listen(opened))
        return state

    def after(self, watch: Watch, state: _State | None) -> Iterator[Accusation]:
        """Accuse those that are open, were not before, and were opened by the test."""
        if state is None or not state.opened or not _new(state):
            return
        gc.collect()
        sites = dict(_identified(state.opened))
        for descriptor, identity in sorted(_new(state).items()):
            if identity in sites:
                path, site = sites.pop(identity)
                yield accuse("file", REMEDY, f"{path} was left open, as descriptor {descriptor}", site)


def _new(state: _State) -> dict[int, Identity]:
    now = _regular_files()
    return {each: identity for each, identity in now.items() if state.before.get(each) != identity}


def _regular_files() -> dict[int, Identity]:
    found: dict[int, Identity] = {}
    assert DESCRIPTORS is not None
    for name in os.listdir(DESCRIPTORS):  # noqa: PTH208 - for each test: no objects
        with contextlib.suppress(OSError):  # it was the one that listed them
            status = os.fstat(int(name))
            if stat.S_ISREG(status.st_mode):
                found[int(name)] = (status.st_dev, status.st_ino)
    return found


def _identified(opened: dict[str, CallSite | None]) -> Iterator[tuple[Identity, tuple[str, CallSite | None]]]:
    for path, site in opened.items():
        with contextlib.suppress(OSError, ValueError):  # it is gone
            status = os.stat(path)  # noqa: PTH116
            yield (status.st_dev, status.st_ino), (path, site)
