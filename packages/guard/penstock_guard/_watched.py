"""A test while it is watched: what belongs to it, and what was changed to see it; all is put back at its end."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
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
        owners: What lived before: the values of fixtures.

    Attributes:
        threads: Those it has started.
        on_loop: Called with each event loop that runs code of the test, before it does.
        at_end: Called in the test's event loop when its coroutine has returned; awaited.
    """

    def __init__(self, settings: Settings, owners: tuple[object, ...] = ()) -> None:
        self.settings = settings
        self.owners = owners
        self.threads: set[threading.Thread] = set()
        self.on_loop: list[Callable[[Any], None]] = []
        self.foreign = False  # it runs in an event loop that is not asyncio's
        self._undo = ExitStack()

    def owns_this(self) -> bool:
        """Tell whether the code that runs here and now is the test's."""
        return watched.get() is self or self._is_own_thread()

    def _is_own_thread(self) -> bool:
        me = threading.get_ident()
        return any(thread.ident == me for thread in tuple(self.threads))

    def when_done(self, undo: Callable[[], object]) -> None:
        """Call a function when the test has ended, the latest first."""
        self._undo.callback(undo)

    def replace(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        """Replace a function of a class or an object until the test has ended.

        Args:
            owner: Where it is looked up.
            name: Its name.
            around: Called with the original and its arguments.
        """
        original = getattr(owner, name)
        to_restore = original if name in vars(owner) else None
        keeper, token = weakref.ref(owner), object()  # a loop that the test drops must not live on here

        @functools.wraps(original)
        def replaced(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        def restore() -> None:
            owner = keeper()
            if owner is None or getattr(vars(owner).get(name), "token", None) is not token:
                return  # somebody has replaced it since: it leads on to the original
            if to_restore is None:
                delattr(owner, name)
            else:
                setattr(owner, name, to_restore)

        replaced.token = token  # type: ignore[attr-defined]
        setattr(owner, name, replaced)
        self.when_done(restore)

    def note(self, owner: type[Any], name: str, note: Callable[..., None]) -> None:
        """Take note of each call of a method that the test makes: `note(site, self, *args, **kwargs)`, before it."""

        def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if self.owns_this():
                note(site_here(), *args, **kwargs)
            return original(*args, **kwargs)

        self.replace(owner, name, around)

    def end(self) -> None:
        """Put back all that was replaced."""
        self._undo.close()
