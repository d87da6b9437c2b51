"""The modes of this process: one frozen snapshot, replaced when a flag changes."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from penstock_flags._connection import Connection
from penstock_flags._declaration import MODES, Declaration, Mode
from penstock_flags._document import CONTEXT_KIND
from penstock_flags._errors import UnknownFlagError

if TYPE_CHECKING:
    from ldclient.client import LDClient
    from ldclient.context import Context

__all__ = ["Flags", "Snapshot"]

logger = logging.getLogger("penstock.flags")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The modes at one moment.

    Attributes:
        environment: The environment's name; None when only LaunchDarkly knows it.
        source: Where the modes come from: a file's path, `LaunchDarkly`, or `defaults`.
        modes: The mode of each declared capability.
    """

    environment: str | None
    source: str
    modes: Mapping[str, Mode]


class Flags:
    """Says the mode of each capability, and tells subscribers when one changes; made by `open`.

    Reading a mode is a look into the snapshot: no lock, no evaluation. Flags are evaluated once per change, in a
    daemon thread. Safe to use from any thread and event loop; a forked child opens its own connection.
    """

    def __init__(
        self,
        build: Callable[[], LDClient] | None,
        declarations: Mapping[str, Declaration],
        environment: str | None,
        source: str,
        instance: str,
    ) -> None:
        self._build = build
        self._declarations = declarations
        self._instance = instance
        self._lock = threading.Lock()
        self._subscribers: dict[object, Callable[[], None]] = {}
        self._reported: set[str] = set()
        self._closed = build is None
        modes: dict[str, Mode] = {flag.capability: flag.default for flag in declarations.values()}
        self._snapshot = Snapshot(environment, source, MappingProxyType(modes))
        self._answered = False
        self._connection: Connection | None = None
        self._finalizer: weakref.finalize[[], Flags] | None = None
        _opened.add(self)
        self._connect()

    @property
    def snapshot(self) -> Snapshot:
        """The modes as they are now; it never changes, a change makes a new one."""
        return self._snapshot

    def mode(self, capability: str) -> Mode:
        """Return `off`, `observe` or `enforce`.

        Raises:
            UnknownFlagError: `flags.toml` declares no flag for the capability.
        """
        try:
            return self._snapshot.modes[capability]
        except KeyError:
            raise UnknownFlagError(capability, self._snapshot.modes) from None

    def wait(self, seconds: float) -> bool:
        """Wait until the connection is made, but no longer than this.

        Returns:
            Whether the flags have been told by now.
        """
        if self._connection is not None:
            self._connection.wait(seconds)
        return self._answered

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in some thread and without arguments, after a mode has changed.

        Args:
            callback: What to call; what it raises is logged. It should be quick.

        Returns:
            A function that ends the subscription; calling it twice does no harm.
        """
        token = object()
        with self._lock:
            self._subscribers[token] = callback

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(token, None)

        return unsubscribe

    def close(self) -> None:
        """End the connection and its threads; modes stay as they are. Closing twice does no harm."""
        self._closed = True
        if self._finalizer is not None:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        modes = ", ".join(f"{capability}={mode}" for capability, mode in self._snapshot.modes.items())
        environment = f" of {self._snapshot.environment}" if self._snapshot.environment else ""
        return f"<Flags{environment} from {self._snapshot.source}: {modes}>"

    def _connect(self) -> None:
        if self._build is None or self._closed:
            return
        # The threads know these flags only weakly: flags that nobody holds any more are closed.
        self._connection = Connection(self._build, partial(_refresh, weakref.ref(self)))
        self._finalizer = weakref.finalize(self, self._connection.close)

    def _reconnect(self) -> None:
        """Begin anew in a forked child: of the parent's threads none is there, and a lock may be held for ever."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._lock = threading.Lock()
        self._connect()

    def _evaluate(self, client: LDClient) -> None:
        from ldclient.context import Context

        if not client.is_initialized():
            return
        context = Context.builder(self._instance).kind(CONTEXT_KIND).build()
        with self._lock:
            old = self._snapshot
            flags = self._declarations.values()
            modes: dict[str, Mode] = {flag.capability: self._mode_of(client, flag, context) for flag in flags}
            changed = modes != old.modes
            if changed:
                self._snapshot = Snapshot(old.environment, old.source, MappingProxyType(modes))
            subscribers = list(self._subscribers.values()) if changed else []
        self._answered = True
        if changed:
            logger.info("flags: %r", self)
        for callback in subscribers:
            try:
                callback()
            except Exception:
                logger.exception("flags: %r failed after a mode had changed", callback)

    def _mode_of(self, client: LDClient, flag: Declaration, context: Context) -> Mode:
        detail = client.variation_detail(flag.key, context, flag.default)
        why = detail.reason.get("errorKind") or f"the value {detail.value!r}; allowed are {', '.join(MODES)}"
        if detail.value in MODES and "errorKind" not in detail.reason:
            self._reported.discard(flag.key)
            return MODES[MODES.index(detail.value)]
        if flag.key not in self._reported:
            self._reported.add(flag.key)
            logger.error("flags: %s from %s: %s; it counts as %s", flag.key, self._snapshot.source, why, flag.default)
        return flag.default


def _refresh(reference: weakref.ref[Flags], client: LDClient) -> None:
    if (flags := reference()) is not None:
        flags._evaluate(client)


def _reconnect_all() -> None:
    for flags in list(_opened):
        flags._reconnect()


_opened: weakref.WeakSet[Flags] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reconnect_all)
