"""One LaunchDarkly client, built in a thread so that nobody waits longer than they want, and its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_flags._declaration import Declaration

if TYPE_CHECKING:
    from ldclient.client import LDClient

__all__ = ["Connection", "file_client", "streaming_client"]

logger = logging.getLogger("penstock.flags")


def file_client(path: Path, declarations: Mapping[str, Declaration]) -> LDClient:
    """Return a client over an environment's file; it opens no connection."""
    from ldclient.client import LDClient
    from ldclient.config import Config

    from penstock_flags._file_source import FileSource

    # Never offline=True: the SDK then answers with defaults and reads nothing.
    return LDClient(
        Config(
            "no-key-needed-for-a-file",
            update_processor_class=FileSource.of(path, declarations),
            send_events=False,
            diagnostic_opt_out=True,
        )
    )


def streaming_client(key: str, stream_uri: str | None, wait: float) -> LDClient:
    """Return a client that streams from LaunchDarkly, connected or after `wait` seconds; it sends no events."""
    from ldclient.client import LDClient
    from ldclient.config import DEFAULT_STREAM_URI, Config

    config = Config(key, stream_uri=stream_uri or DEFAULT_STREAM_URI, send_events=False, diagnostic_opt_out=True)
    return LDClient(config, start_wait=wait)


class Connection:
    """A client that is being built, is there, or is closed."""

    def __init__(self, build: Callable[[], LDClient], changed: Callable[[LDClient], None]) -> None:
        """Start to build a client.

        Args:
            build: Makes the client; called in a thread.
            changed: Called with the client once it is there, and whenever one of its flags may have changed.
        """
        self._build = build
        self._changed = changed
        self._lock = threading.Lock()
        self._client: LDClient | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._connect, name="penstock-flags-connect", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until the client is there, but no longer than this."""
        self._thread.join(seconds)

    def close(self) -> None:
        """End the client and its threads; what is still being built ends as soon as it is."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            _close(client)

    def _connect(self) -> None:
        try:
            client = self._build()
        except Exception as error:  # noqa: BLE001 - without its flags a program runs on, as it was before
            # The type alone: a message might show the key.
            logger.error("flags: no connection (%s); every flag counts as its default", type(error).__name__)  # noqa: TRY400
            return
        with self._lock:
            if not self._closed:
                self._client = client
        if self._client is not client:
            _close(client)
            return
        client.flag_tracker.add_listener(lambda _change: self._tell(client))
        self._tell(client)  # what changed before anybody listened

    def _tell(self, client: LDClient) -> None:
        if not self._closed:
            self._changed(client)


def _close(client: Any) -> None:  # the SDK's method has no types
    client.close()
