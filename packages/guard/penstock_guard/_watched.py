"""A test while it is watched: what belongs to it, and what was changed to see it; all is put back at its end."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from penstock_limits.introspection import CallSite

from penstock_guard._settings import Settings
from penstock_guard._sites import site_here

__all__ = ["Made", "WatchedTest", "watched"]

T = TypeVar("T")

watched: ContextVar[WatchedTest | None] = ContextVar("penstock_guard.watched", default=None)


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """Something that a test made, and the line."""

    thing: T
    site: CallSite | None


class WatchedTest:
    """A test whose call is watched.

    What is made belongs to the test if the test's own code made it: in its context, which tasks and `to_thread`
    inherit, or in a thread that it started. What a fixture's tasks and threads make is the fixture's.

    Args:
        settings: How it is guarded.
        owners: Returns what lived before, or is ended after the test: fixtures.

    Attributes:
        threads: Those it has started.
        on_loop: Called with each event loop that runs code of the test, before it does.
        broken: What failed of the guard itself; the test does not notice.
    """

    def __init__(self, settings: Settings, owners: Callable[[], Iterable[object]]) -> None:
        self.settings = settings
        self.owners = owners
        self.threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.on_loop: list[Callable[[Any], None]] = []
        self.foreign = False  # it runs in an event loop that is not asyncio's
        self.broken: list[str] = []
        self.ended = False
        self._undo = ExitStack()
        self._process = os.getpid()

    def owns_this(self) -> bool:
        """Tell whether the code that runs here and now is the test's; a forked child has other things to do."""
        return (watched.get() is self or self._is_own_thread()) and os.getpid() == self._process

    def safely(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
        """Call a function of the guard: if it fails, that is taken down, and None returned."""
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a defect of the guard must never break a test
            self.broken.append(f"{_place_of(error)}: {error!r}")
            return None

    def _is_own_thread(self) -> bool:
        me = threading.get_ident()
        return any(thread.ident == me for thread in tuple(self.threads))

    def when_done(self, undo: Callable[[], object]) -> None:
        """Call a function when the test has ended, the latest first."""
        self._undo.callback(self.safely, undo)

    def replace(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        """Replace a function of a class or an object until the test has ended.

        Args:
            owner: Where it is looked up.
            name: Its name.
            around: Called with the original and its arguments.
        """
        original = _without_ended(getattr(owner, name))
        to_restore = original if name in vars(owner) else None
        replaced = _replacement(original, around)
        keeper, ours = weakref.ref(owner), weakref.ref(replaced)  # a loop that the test drops must not live on here
        _replacements[replaced] = self

        def restore() -> None:
            owner = keeper()
            if owner is None or vars(owner).get(name) is not ours():
                return  # somebody has replaced it since: it leads on to the original
            if to_restore is None:
                delattr(owner, name)
            else:
                setattr(owner, name, to_restore)

        setattr(owner, name, replaced)
        self.when_done(restore)

    def note(self, owner: type[Any], name: str, note: Callable[..., None]) -> None:
        """Take note of each call of a method that the test makes: `note(site, self, *args, **kwargs)`, before it."""

        def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if self.owns_this():
                self.safely(note, site_here(), *args, **kwargs)
            return original(*args, **kwargs)

        self.replace(owner, name, around)

    def end(self) -> None:
        """Put back all that was replaced."""
        self._undo.close()
        self.ended = True


def _place_of(error: BaseException) -> str:
    """Return the innermost function of the guard in which an error was raised."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if frame.f_globals.get("__name__", "").startswith("penstock_guard.")]
    return ours[-1].f_code.co_qualname


_replacements: weakref.WeakKeyDictionary[Callable[..., Any], WatchedTest] = weakref.WeakKeyDictionary()


def _replacement(original: Callable[..., Any], around: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, or a coroutine function, as the original is one."""

    @functools.wraps(original)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    @functools.wraps(original)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        return await around(original, *args, **kwargs)

    return awaited if inspect.iscoroutinefunction(original) else replaced


def _without_ended(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a test's replacement leads to that was put back after the test, as monkeypatch does."""
    while (test := _replacements.get(function)) is not None and test.ended:
        function = function.__wrapped__  # type: ignore[attr-defined]
    return function
