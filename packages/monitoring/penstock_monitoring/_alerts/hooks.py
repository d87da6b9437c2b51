"""What an alert can be handed to: the log, a web address; anything that takes an alert will do."""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

from penstock_limits import ConfigurationError, backoff_delay

from penstock_monitoring._alerts.rule import Alert

__all__ = ["Hook", "log_hook", "webhook_hook"]

Hook = Callable[[Alert], object]

logger = logging.getLogger("penstock.monitoring.alerts")

ATTEMPTS: Final = 3
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LEVELS: Final = {"critical": logging.ERROR, "warning": logging.WARNING}


def log_hook(alert: Alert) -> None:
    """Write an alert to the log `penstock.monitoring.alerts`: a critical one as error, a warning as warning.

    That it is resolved is information. The record has an attribute `penstock`, a mapping of all that the alert says.

    Args:
        alert: The alert.
    """
    level = _LEVELS[alert.severity] if alert.state == "active" else logging.INFO
    told = (alert.name, alert.state, alert.summary, alert.runbook)
    logger.log(level, "%s %s: %s (%s)", *told, extra={"penstock": alert.as_dict()})


def webhook_hook(
    url: str, *, timeout: float = 5.0, headers: Mapping[str, str] | None = None
) -> Callable[[Alert], None]:
    """Return a hook that posts alerts to a web address, as JSON: `version`, `text`, and all that the alert says.

    Chat services show `text`. What fails in passing is tried three times. The monitor calls it in a thread of its own.

    Args:
        url: Where to, with `http://` or `https://`. It may hold a secret: no message, log or repr shows more of it than
            the host.
        timeout: Seconds that one attempt may wait for the network, each time; 5 by default.
        headers: Sent with it, such as `Authorization`.

    Returns:
        The hook.

    Raises:
        ConfigurationError: The address or the timeout cannot be used.
    """
    return _Webhook(url, timeout, dict(headers or {}))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, and elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Webhook:
    def __init__(self, url: str, timeout: float, headers: dict[str, str]) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError:
            raise ConfigurationError("webhook_hook: the url cannot be read") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigurationError("webhook_hook: the url must begin with http:// or https://, and name a host")
        if not 0 < timeout <= 60:
            raise ConfigurationError(f"webhook_hook: timeout = {timeout!r}; allowed are seconds above 0 up to 60")
        self.__name__ = f"webhook:{host}"
        self._url = url
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "User-Agent": "penstock-monitoring"} | headers
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __call__(self, alert: Alert) -> None:
        """Post an alert.

        Raises:
            RuntimeError: It could not be delivered; the message says why, without the address.
        """
        for attempt in range(1, ATTEMPTS + 1):
            problem, again = self._post(alert)
            if not problem:
                return
            if not again or attempt == ATTEMPTS:
                raise RuntimeError(f"{self.__name__}: {problem}, after {attempt} attempts")
            threading.Event().wait(backoff_delay(attempt))

    def _post(self, alert: Alert) -> tuple[str, bool]:
        """Return what went wrong, empty if nothing did, and whether another attempt may mend it."""
        request = urllib.request.Request(self._url, _body(alert), self._headers, method="POST")  # noqa: S310 - http or https
        try:
            with self._opener.open(request, timeout=self._timeout):
                return "", False
        except urllib.error.HTTPError as error:
            with error:
                return f"it answered {error.code}", error.code in _AGAIN
        except (OSError, HTTPException) as error:  # what they say may name the address
            return type(getattr(error, "reason", error)).__name__, True


def _body(alert: Alert) -> bytes:
    told = alert.as_dict()
    text = f"[{alert.severity}] {alert.name} {alert.state}: {alert.summary}"
    return json.dumps({"version": 1, "text": text, "alert": told}, allow_nan=False).encode()
