"""Feeds an environment's file to LaunchDarkly's SDK: checked first, then loaded whole.

The SDK's own file source reads the same format, and is not used to watch it: it prints a traceback for a file it cannot
load, parses JSON with PyYAML where that is installed, 70 times as slow, reloads in an endless loop where watchdog is
installed, and misses a change between its first load and its first look at the file's time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ldclient.config import Config
from ldclient.interfaces import UpdateProcessor
from ldclient.versioned_data_kind import FEATURES, SEGMENTS

from penstock_flags._declaration import Declaration
from penstock_flags._errors import Problem
from penstock_flags._lint import check_environment

__all__ = ["FileSource"]

logger = logging.getLogger("penstock.flags")

# Two looks in a second: a flip is seen after 0.5 s at the latest. The file is small, and reading it all is what cannot
# miss a change, whatever the clock of the file system.
POLL_SECONDS = 0.5

# A file system that hangs keeps nobody from ending: the thread is a daemon.
JOIN_SECONDS = 5.0


class FileSource(UpdateProcessor):
    """Watches one file in a thread of its own; a bad file changes nothing and is reported once."""

    @classmethod
    def of(cls, path: Path, declarations: Mapping[str, Declaration]) -> Callable[[Config, Any, threading.Event], Any]:
        """Return what the SDK's setting `update_processor_class` expects."""
        return lambda config, _store, ready: cls(config, ready, path, declarations)

    def __init__(
        self, config: Config, ready: threading.Event, path: Path, declarations: Mapping[str, Declaration]
    ) -> None:
        self._config = config
        self._ready = ready
        self._path = path
        self._declarations = declarations
        self._seen: bytes | str | None = None
        self._generation = 0
        self._healthy = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="penstock-flags-file", daemon=True)

    def start(self) -> None:
        """Load the file, then watch it."""
        self._try_to_look()
        self._thread.start()
        self._ready.set()

    def stop(self) -> None:
        """End the thread and wait for its end."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_SECONDS)

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def initialized(self) -> bool:
        """Return whether a good file has been loaded."""
        return self._generation > 0

    def _watch(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            self._try_to_look()

    def _try_to_look(self) -> None:
        try:
            self._look()
        except Exception:  # whatever happens, the next look must take place
            logger.exception("flags: %s cannot be loaded", self._path)

    def _look(self) -> None:
        content = self._content()
        if content == self._seen:
            return
        self._seen = content
        if isinstance(content, str):
            self._report([Problem(str(self._path), "", content)])
            return
        document, problems = check_environment(content, self._declarations, str(self._path))
        if problems:
            self._report(problems)
        else:
            self._load(document)

    def _content(self) -> bytes | str:
        """Return the file's bytes, or why it cannot be read."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    def _report(self, problems: list[Problem]) -> None:
        self._healthy = False
        kept = "the last good flags stay" if self.initialized() else "every flag counts as its default"
        more = f" (and {len(problems) - 1} more: penstock flags lint)" if len(problems) > 1 else ""
        logger.error("flags: %s%s; %s", problems[0], more, kept)

    def _load(self, document: Mapping[str, Any]) -> None:
        sink = self._config.data_source_update_sink
        if sink is None:
            raise RuntimeError("the SDK gave its data source nothing to load into")
        self._generation += 1
        # Listeners hear only of versions that grow, and whoever edits by hand may forget to raise it.
        flags = {key: {**flag, "version": self._generation} for key, flag in document["flags"].items()}
        segments = {key: {**segment, "version": self._generation} for key, segment in document["segments"].items()}
        sink.init({FEATURES: flags, SEGMENTS: segments})
        if not self._healthy:
            self._healthy = True
            logger.warning("flags: %s is good again and loaded", self._path)
