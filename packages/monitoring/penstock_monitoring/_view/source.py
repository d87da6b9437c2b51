"""Where snapshots come from: the page of a process, found by its address, its port or its number."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from penstock_monitoring._view.announce import Announced, announced

__all__ = ["NotToBeSeenError", "Source", "find"]

PATIENCE: Final = 5.0  # seconds
MOST: Final = 64 * 1024 * 1024  # bytes of an answer
SERVE: Final = "a process serves its live view with monitor.serve(), or as ConcurrencyMonitor(page=8431)"


class NotToBeSeenError(Exception):
    """There is no snapshot to be had; the message says why, and what to do.

    Args:
        message: Why.
        lasting: Whether it is of no use to try again.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Source:
    """The page at an address.

    Args:
        url: Its address; what comes after the path is of no use.
        token: What it may ask for.

    Raises:
        NotToBeSeenError: It is no address of a page.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise NotToBeSeenError(
                f"{_without_secrets(url)!r} is no address of a page; one is http://127.0.0.1:8431/", lasting=True
            )
        if parts.username or parts.password:
            raise NotToBeSeenError(
                "an address must not hold the token, as others see it; put it into the variable PENSTOCK_TOKEN "
                "or a file for --token-file",
                lasting=True,
            )
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port
        self._path = f"{parts.path.rstrip('/')}/snapshot.json"
        self._token = token
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}/"

    def read(self) -> dict[str, Any]:
        """Return a snapshot, without history.

        Raises:
            NotToBeSeenError: There is none to be had.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            connection.request("GET", f"{self._path}?since=inf", headers=headers)
            answer = connection.getresponse()
            body = answer.read(MOST)
        except ConnectionRefusedError:
            raise NotToBeSeenError(f"nothing listens at {self.address}; {SERVE}") from None
        except TimeoutError:
            raise NotToBeSeenError(f"{self.address} has not answered within {PATIENCE:g} seconds") from None
        except (OSError, http.client.HTTPException) as error:
            raise NotToBeSeenError(f"{self.address} cannot be read: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise self._refused(answer.status)
        return self._understood(body)

    def _refused(self, status: int) -> NotToBeSeenError:
        if status == 401:
            what = "does not take this token" if self._token else "asks for a token"
            said = f"{self.address} {what}; put the one that serve() was given into the variable PENSTOCK_TOKEN"
        elif status == 403:
            said = f"{self.address} is only to be seen on its own machine, by the name 127.0.0.1 or localhost"
        else:
            said = f"what listens at {self.address} is no live view: it answers with status {status}; {SERVE}"
        return NotToBeSeenError(said, lasting=status in (401, 403, 404))

    def _understood(self, body: bytes) -> dict[str, Any]:
        try:
            snapshot = json.loads(body)
        except (ValueError, RecursionError):
            snapshot = None
        if not isinstance(snapshot, dict) or "resources" not in snapshot:
            raise NotToBeSeenError(f"what listens at {self.address} is no live view; {SERVE}", lasting=True)
        if snapshot.get("version") != 1:
            raise NotToBeSeenError(
                f"{self.address} speaks version {snapshot.get('version')!r} of the format, this command version 1; "
                "upgrade penstock-monitoring here",
                lasting=True,
            )
        return snapshot


def find(target: str | None) -> str:
    """Return the address of a page.

    Args:
        target: A process, a port of this machine, `host:port` or a URL; None for the one process that serves a page.

    Raises:
        NotToBeSeenError: It cannot be told which.
    """
    if target is None:
        return _only_one()
    if target.isdecimal():
        return _by_number(int(target))
    return target if "://" in target else f"http://{target}/"


def _by_number(number: int) -> str:
    pages = [page for page in announced() if page.pid == number]
    if pages:
        return pages[-1].url
    if 0 < number <= 65_535:
        return f"http://127.0.0.1:{number}/"
    raise NotToBeSeenError(f"process {number} of yours serves no live view; {SERVE}", lasting=True)


def _only_one() -> str:
    pages = [page for page in announced() if _listens(page)]
    if not pages:
        raise NotToBeSeenError(
            f"no process of yours serves a live view; {SERVE}. Or name one that another user runs by its port.",
            lasting=True,
        )
    if len(pages) > 1:
        known = "".join(f"\n  penstock top {page.pid}   ({page.name}, {page.url})" for page in pages)
        raise NotToBeSeenError(f"several processes serve a live view; choose one:{known}", lasting=True)
    return pages[0].url


def _listens(page: Announced) -> bool:
    """Tell whether a page is still there; forget it if not."""
    parts = urlsplit(page.url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except OSError:
        page.file.unlink(missing_ok=True)
        return False
    return True


def _without_secrets(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://***@{after}" if at else url
