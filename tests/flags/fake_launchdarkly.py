"""LaunchDarkly's streaming endpoint, as far as the SDK uses it: `GET /all`, server-sent events `put` and `patch`.

LaunchDarkly itself cannot be had in a test: it needs an account and the internet. This is a real server on a real
socket of the loopback interface, and the SDK's own client talks to it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["FakeLaunchDarkly"]


class FakeLaunchDarkly:
    """A context manager: serves until its end."""

    def __init__(self, key: str, flags: Mapping[str, Any], *, port: int = 0) -> None:
        """Listen.

        Args:
            key: The SDK key that is let in; any other is answered with 401.
            flags: What a newcomer is told.
            port: The port; 0 takes a free one.
        """
        self.flags = dict(flags)
        self.key = key
        self.requests: list[Mapping[str, str]] = []
        self._changed = threading.Condition()
        self._events: list[tuple[str, str]] = []
        self._closed = False
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake.requests.append({"path": self.path, **self.headers})
                if self.headers.get("Authorization") != fake.key:
                    self.send_error(401)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    fake.serve(self)
                self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def patch(self, flag: Mapping[str, Any]) -> None:
        """Change a flag for everybody who listens."""
        self.flags[flag["key"]] = flag
        with self._changed:
            self._events.append(("patch", json.dumps({"path": f"/flags/{flag['key']}", "data": flag})))
            self._changed.notify_all()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Tell one listener everything, then each change."""
        told = len(self._events)
        self._send(handler, "put", json.dumps({"path": "/", "data": {"flags": self.flags, "segments": {}}}))
        while True:
            with self._changed:
                while not self._closed and len(self._events) == told:
                    self._changed.wait()
                if self._closed:
                    return
                events, told = self._events[told:], len(self._events)
            for name, data in events:
                self._send(handler, name, data)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, name: str, data: str) -> None:
        event = f"event: {name}\ndata: {data}\n\n".encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        handler.wfile.flush()

    def __enter__(self) -> FakeLaunchDarkly:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
