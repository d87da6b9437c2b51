"""Who may look at the page."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from penstock_limits import ConfigurationError

__all__ = ["LOCAL", "SHORTEST", "Access", "Refusal", "address_of", "checked_token"]

LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST: Final = 16  # characters of a token: what cannot be guessed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer is refused, for whoever asked.

    Attributes:
        status: Of HTTP.
        text: What to do.
        headers: More headers.
    """

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


class Access:
    """Decides by a request's headers.

    Args:
        host: Where the page is served.
        token: What must be shown; None if the page is for this machine only.
    """

    def __init__(self, host: str, token: str | None) -> None:
        self._names = LOCAL | {host}
        self._token = None if token is None else token.encode()

    def refusal(self, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused; None if it is not."""
        if self._token is not None:
            return None if _shows(headers.get("authorization", ""), self._token) else _UNKNOWN
        # A site elsewhere may give its own name this address, and have a browser read the page for it.
        return None if _name(headers.get("host", "")) in self._names else _ELSEWHERE


_UNKNOWN: Final = Refusal(
    401,
    "This page needs the token that serve(token=...) was given.\n"
    "In a browser, type it as the password, with any user name. Elsewhere, send it as 'Authorization: Bearer TOKEN'; "
    "penstock top reads it from the variable PENSTOCK_TOKEN.\n",
    (("WWW-Authenticate", 'Basic realm="penstock", charset="UTF-8"'),),
)
_ELSEWHERE: Final = Refusal(
    403,
    "This page is for the machine that it runs on: ask for it by 127.0.0.1 or localhost.\n"
    "To look at it by another name, give serve() a token.\n",
)


def _name(host: str) -> str:
    """Return the name in a `Host` header, without the port."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name.lower() if not rest or rest.startswith(":") else ""
    return host.partition(":")[0].lower()


def _shows(authorization: str, token: bytes) -> bool:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        shown = given.strip().encode("utf-8", "surrogateescape")
    elif scheme.lower() == "basic":
        shown = _password(given.strip())
    else:
        return False
    return hmac.compare_digest(shown, token)


def _password(given: str) -> bytes:
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that a host is; names are not looked up, since that takes its time.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ConfigurationError(
            f"serve(): host = {host!r}; allowed are 'localhost' and addresses, such as '127.0.0.1', '::1' or '0.0.0.0'"
        ) from None


def checked_token(host: str, token: str | None) -> str | None:
    """Return the token, if one is needed it is there.

    Raises:
        ConfigurationError: It is not, or it is too short, or has characters that no header may have.
    """
    if token is None:
        if address_of(host).is_loopback:
            return None
        raise ConfigurationError(
            f"serve(): host = {host!r} lets other machines look, so it needs a token: "
            "serve(..., token=secrets.token_urlsafe()), kept where you keep secrets"
        )
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"serve(): the token has {len(token)} characters; allowed are {SHORTEST} or more, of ASCII and without "
            "spaces: secrets.token_urlsafe() makes one"
        )
    return token
