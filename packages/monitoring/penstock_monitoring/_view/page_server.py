"""A monitor's page, served from a thread of its own."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from penstock_limits import ConfigurationError
from penstock_limits.forks import after_fork

from penstock_monitoring._view.access import Access, address_of, checked_token
from penstock_monitoring._view.announce import announce
from penstock_monitoring._view.pieces import Encoder, patiently

if TYPE_CHECKING:
    from penstock_monitoring._monitor import ConcurrencyMonitor
    from penstock_monitoring._view.http import Answer, Query

__all__ = ["PageServer"]

POLL = 0.1  # seconds that closing may take


class PageServer:
    """The live view of a monitor as a page; `ConcurrencyMonitor.serve()` makes it.

    Use it as a context manager, or close it; it ends with its monitor too.
    """

    def __init__(self, monitor: ConcurrencyMonitor, host: str, port: int, token: str | None) -> None:
        from penstock_monitoring._view.http import HttpServer  # a program that serves no page needs none

        token = checked_token(host, token)
        if not 0 <= port <= 65_535:
            raise ConfigurationError(f"serve(): port = {port!r}; allowed are 1 to 65535, and 0 for any that is free")
        address = address_of(host)
        encoder = Encoder(monitor.snapshot)
        answers: dict[str, Callable[[Query], Answer]] = {
            "/snapshot.json": lambda query: ("application/json", encoder.encode(_since(query)))
        }
        if (metrics := _metrics(monitor)) is not None:
            answers["/metrics"] = metrics
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        try:
            self._http = HttpServer((str(address), port), family, Access(host, token), answers)
        except OSError as error:
            raise _explained(error, host, port) from error
        self._host, self._port = host, int(self._http.server_address[1])
        self._name = monitor.name
        self._closing = threading.Lock()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._serve, name="penstock-page", daemon=True)
        after_fork(self._after_fork)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<PageServer {self.url}{'' if self._thread.is_alive() else ', closed'}>"

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._host

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._port

    @property
    def url(self) -> str:
        """Where a browser finds it, on this machine."""
        address = address_of(self._host)
        if address.is_unspecified:
            address = address_of("::1" if address.version == 6 else "127.0.0.1")
        return f"http://[{address}]:{self._port}/" if address.version == 6 else f"http://{address}:{self._port}/"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End it, and its threads; takes up to 0.1 seconds, so not in an event loop. Does nothing if it is closed."""
        with self._closing:
            if self._process != os.getpid() or not self._thread.is_alive():
                return
            self._http.shutdown()
            self._thread.join()

    def _serve(self) -> None:
        file = announce(self.url, self._name)
        try:
            self._http.serve_forever(poll_interval=POLL)
        finally:
            self._http.server_close()
            if file is not None:
                file.unlink(missing_ok=True)

    def _after_fork(self) -> None:
        """Let go of the port: this process has not the threads that answer."""
        self._closing = threading.Lock()
        if self._process != os.getpid():
            self._http.let_go()


def _since(query: Query) -> float:
    from penstock_monitoring._view.http import WrongQueryError

    (given,) = query.get("since", ["-inf"])[-1:]
    try:
        return float(given)
    except ValueError:
        raise WrongQueryError(
            "since is a moment in Unix seconds, after which history is wanted: ?since=1764500000"
        ) from None


def _metrics(monitor: ConcurrencyMonitor) -> Callable[[Query], Answer] | None:
    """Return what answers Prometheus; None without its library."""
    from penstock_monitoring._prometheus.collector import PrometheusCollector

    try:
        collector = PrometheusCollector(monitor)
    except ImportError:
        return None
    return lambda _: (collector.content_type, patiently(collector._pieces()))


def _explained(error: OSError, host: str, port: int) -> OSError:
    if error.errno == errno.EADDRINUSE:
        said = f"serve(): port {port} of {host} is in use; give another, or 0 for any that is free"
    elif error.errno == errno.EACCES:
        said = f"serve(): port {port} of {host} is not for this user; give one above 1023, or 0 for any that is free"
    elif error.errno == errno.EADDRNOTAVAIL:
        said = f"serve(): {host} is no address of this machine; give one, or 0.0.0.0 for all"
    else:
        return error
    explained: Any = type(error)(error.errno, said)
    return explained  # type: ignore[no-any-return]
