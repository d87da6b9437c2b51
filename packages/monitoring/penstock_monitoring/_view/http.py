"""The HTTP behind the page: GET and HEAD, a few paths, strict headers, few connections at a time."""

from __future__ import annotations

import functools
import http.server
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from penstock_monitoring._view.access import Access, Refusal

__all__ = ["Answer", "HttpServer", "Query", "WrongQueryError"]

logger = logging.getLogger("penstock.monitoring")

MOST: Final = 16  # connections at a time
PAUSE: Final = 0.1  # seconds after a connection that cannot be taken
IDLE: Final = 15.0  # seconds for which one is kept that asks for nothing
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
_PAGE: Final = {
    "/": "index.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/icon.svg": "icon.svg",
    "/kinds.json": "kinds.json",
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Answer = tuple[str, bytes]  # content type and body
Query = Mapping[str, list[str]]


class WrongQueryError(Exception):
    """A query asks for what there is not; the message says what it may ask for."""


class HttpServer(socketserver.TCPServer):
    """Answers each connection in a thread of its own, and ends them all when it is closed.

    Args:
        address: Host and port.
        family: Of the address.
        access: Who may look.
        more: What is answered besides the page, by path; WrongQueryError for a query that is wrong.
    """

    allow_reuse_address = hasattr(socket, "AF_UNIX")  # elsewhere it would let others take the port
    request_queue_size = 32

    def __init__(
        self,
        address: tuple[str, int],
        family: socket.AddressFamily,
        access: Access,
        more: Mapping[str, Callable[[Query], Answer]],
    ) -> None:
        self.address_family = family
        self.access = access
        self.more = more
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection; one that cannot be taken, for want of descriptors, would be offered again at once."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to answer a connection; where there are many, the oldest makes place."""
        connections = list(self._open)
        if len(connections) >= MOST:
            _end(connections[0])
        if len(connections) >= 2 * MOST:  # they make no place
            self.shutdown_request(request)
            return
        thread = threading.Thread(
            target=self._answer, args=(request, client_address), name="penstock-page-answer", daemon=True
        )
        self._open[request] = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads can be started
            del self._open[request]
            self.shutdown_request(request)

    def _answer(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            logger.debug("a reader of the page has gone")
        except Exception as error:  # noqa: BLE001 - the next answer may be better
            logger.error("the page cannot answer: %s", type(error).__name__)  # noqa: TRY400 - its text may hold secrets
        finally:
            self.shutdown_request(request)
            self._open.pop(request, None)

    def server_close(self) -> None:
        """Close everything, and wait for the threads."""
        super().server_close()
        for request, thread in list(self._open.items()):
            _end(request)
            if thread is not threading.current_thread():
                thread.join()

    def let_go(self) -> None:
        """Close the sockets of a process of which this is a copy; its threads are not here."""
        self.socket.close()
        for request in list(self._open):
            request.close()
        self._open.clear()


def _end(connection: socket.socket) -> None:
    """End what its thread waits for."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        logger.debug("a connection has ended by itself")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HttpServer  # pyright: ignore[reportIncompatibleVariableOverride] - no other makes one
    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # the body is not read
        if self.command not in ("GET", "HEAD"):
            self._refuse(Refusal(405, "This page only shows: GET and HEAD.\n", (("Allow", "GET, HEAD"),)))
            return False
        return True

    def do_GET(self) -> None:
        refusal = self.server.access.refusal({name.lower(): value for name, value in self.headers.items()})
        if refusal is not None:
            self._refuse(refusal)
            return
        try:
            asked = urlsplit(self.path)
        except ValueError:
            self._refuse(Refusal(400, "This is no address.\n"))
            return
        if (name := _PAGE.get(asked.path)) is not None:
            self._send(200, *_file(name))
        elif (answer := self.server.more.get(asked.path)) is not None:
            try:
                self._send(200, *answer(parse_qs(asked.query)))
            except WrongQueryError as error:
                self._refuse(Refusal(400, f"{error}\n"))
        else:
            paths = ", ".join(["/", *sorted(self.server.more)])
            self._refuse(Refusal(404, f"There is nothing of this name here; there are {paths}.\n"))

    do_HEAD = do_GET  # noqa: N815 - the name is theirs

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.status == 405:
            self.close_connection = True
        self._send(refusal.status, "text/plain; charset=utf-8", refusal.text.encode(), refusal.headers)

    def _send(self, status: int, content: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(status)
        for name, value in (*_HEADERS.items(), *headers):
            self.send_header(name, value)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no HTTP as everything else: a sentence, and the same headers."""
        self.close_connection = True
        self.request_version = self.protocol_version  # what could not be read would be answered without headers
        self._send(code, "text/plain; charset=utf-8", f"{message or HTTPStatus(code).phrase}\n".encode())

    def version_string(self) -> str:
        return "penstock"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        path = getattr(self, "path", "").partition("?")[0]  # without a query, in which people put secrets
        logger.debug("page: %s %s %s", self.command, path, int(code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is theirs
        """Say nothing: what goes wrong is the reader's."""


@functools.cache
def _file(name: str) -> Answer:
    return _TYPES[name.rpartition(".")[2]], (files("penstock_monitoring") / "_view" / "page" / name).read_bytes()
