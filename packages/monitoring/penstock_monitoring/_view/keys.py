"""Keys as they are pressed, from a terminal."""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Keys", "available", "pressed"]

_ONE: Final = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_NAMES: Final = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
}


def available() -> bool:
    """Tell whether keys can be read one by one: there is a terminal, and the system has termios."""
    try:
        import termios  # noqa: F401 - not on Windows
    except ImportError:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


class Keys:
    """The keys in what a terminal sends, which may be several at once, or a part of one.

    Args:
        receive: Returns what was sent within so many seconds; nothing if nothing was, None if the terminal has gone.
    """

    def __init__(self, receive: Callable[[float], bytes | None]) -> None:
        self._receive = receive
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._waiting = ""

    def read(self, timeout: float) -> str:
        """Return the next key's name or character; empty if none was pressed within so many seconds.

        Raises:
            EOFError: The terminal has gone.
        """
        if not self._waiting:
            received = self._receive(timeout)
            if received is None:
                raise EOFError("the terminal has gone")
            self._waiting = self._decode(received)
        if not (found := _ONE.match(self._waiting)):
            return ""
        self._waiting = self._waiting[found.end() :]
        return _NAMES.get(found[0], found[0])


@contextmanager
def pressed() -> Iterator[Keys]:
    """Give each key when it is pressed, until left; then the terminal is as it was."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def receive(timeout: float) -> bytes | None:
        if not select.select([terminal], [], [], timeout)[0]:
            return b""
        return os.read(terminal, 64) or None

    try:
        tty.setcbreak(terminal)
        yield Keys(receive)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
