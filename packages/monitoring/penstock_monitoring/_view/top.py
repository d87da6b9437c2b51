"""`penstock top`: reads snapshots in a thread, and shows them as somebody wants to see them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from penstock_monitoring._view.keys import Keys, pressed
from penstock_monitoring._view.look import SORTS, VIEWS, Look
from penstock_monitoring._view.screen import everything, fitted
from penstock_monitoring._view.source import NotToBeSeenError, Source

__all__ = ["once", "watch"]

TICK: Final = 0.1  # seconds between two looks at whether there is something new
_ENDS: Final = ("SIGTERM", "SIGHUP", "SIGQUIT")  # those that the system has
WIDE: Final = 160  # columns of what is no terminal


class Reader:
    """Reads snapshots in a thread of its own, since an answer may take its time and keys must not.

    Args:
        source: Where they come from.
        interval: Seconds between two.

    Attributes:
        now: The last one.
        before: The one before it.
        lost: Why there is none since; empty while there are.
        read: How often it has tried.
    """

    def __init__(self, source: Source, interval: float) -> None:
        self._source = source
        self._interval = interval
        self._end = threading.Event()
        self._goes = threading.Event()
        self.now: Mapping[str, Any] = source.read()
        self.before: Mapping[str, Any] | None = None
        self.lost = ""
        self.read = 0
        self._answered = time.localtime()
        self._thread = threading.Thread(target=self._run, name="penstock-top", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._goes.set()
        self._thread.start()

    def pause(self, paused: bool) -> None:
        """Stop reading for a while, or go on."""
        if paused:
            self._goes.clear()
        else:
            self._goes.set()

    def end(self) -> None:
        """End reading; a question that is under way is not waited for."""
        self._end.set()
        self._goes.set()

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            self._goes.wait()
            self._read()

    def _read(self) -> None:
        try:
            snapshot = self._source.read()
        except NotToBeSeenError as error:
            since = time.strftime("%H:%M:%S", self._answered)
            self.lost = f"No answer since {since}, trying again: {str(error).partition(';')[0]}"
        else:
            same = snapshot["process"]["started"] == self.now["process"]["started"]
            self.before, self.now = (self.now if same else None), snapshot
            self.lost, self._answered = "", time.localtime()
        self.read += 1


def once(source: Source, look: Look, interval: float, console: Console) -> int:
    """Print everything once, after the time that rates take; return 1 if an alert is active.

    Raises:
        NotToBeSeenError: There is no snapshot.
    """
    before = source.read()
    time.sleep(interval)
    now = source.read()
    console.print(everything(now, before, look, console.width))
    return int(any(alert["state"] == "active" for alert in now["alerts"]))


def watch(source: Source, look: Look, interval: float, console: Console) -> None:
    """Show it until somebody quits.

    Raises:
        NotToBeSeenError: There is no snapshot to begin with; later it goes on trying.
    """
    reader = Reader(source, interval)
    for name in _ENDS:
        if number := getattr(signal, name, None):
            signal.signal(number, _ended)  # so that the terminal is left as it was
    with pressed() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        reader.start()
        try:
            _show(reader, look, keys, live)
        finally:
            reader.end()


def _ended(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _show(reader: Reader, look: Look, keys: Keys, live: Live) -> None:
    shown: object = None
    while True:
        size = live.console.size
        state = (reader.read, size, look.paused)
        if state != shown:
            look.said, look.lost = reader.lost, bool(reader.lost)
            live.update(fitted(reader.now, reader.before, look, size.width, size.height), refresh=True)
            shown = state
        if not (key := keys.read(TICK)):
            continue
        if not _takes(key, look, reader):
            return
        shown = None


def _takes(key: str, look: Look, reader: Reader) -> bool:
    """Do what a key says; False if it says to quit."""
    if look.typing:
        _type(key, look)
        return True
    if key in ("q", "Q"):
        return False
    if key in ("p", " "):
        look.paused = not look.paused
        reader.pause(look.paused)
    else:
        _turn(key, look)
    return True


def _type(key: str, look: Look) -> None:
    if key in ("enter", "escape"):
        look.typing = False
        look.filter = "" if key == "escape" else look.filter
    elif key == "backspace":
        look.filter = look.filter[:-1]
    elif len(key) == 1 and key.isprintable():
        look.filter += key
    look.first = 0


def _turn(key: str, look: Look) -> None:
    if key in ("s", "S"):
        step = 1 if key == "s" else -1
        look.sort, look.turned = SORTS[(SORTS.index(look.sort) + step) % len(SORTS)], False
    elif key == "r":
        look.turned = not look.turned
    elif key == "/":
        look.typing = True
    elif key == "escape":
        look.filter = ""
    elif key == "tab":
        look.view, look.first = VIEWS[(VIEWS.index(look.view) + 1) % len(VIEWS)], 0
    else:
        look.first = max(0, look.first + _step(key, look))


def _step(key: str, look: Look) -> int:
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -look.page, "page down": look.page}
    return steps.get(key, {"home": -look.first, "end": sys.maxsize}.get(key, 0))
