"""HTTP clients by name: whose client it is, and how it is opened, is configuration, not code."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from penstock_limits import Mode

from penstock_pooling._http.client_manager import HTTPClientManager, own_client
from penstock_pooling._http.client_settings import ClientSettings

__all__ = ["close_clients", "configure_clients", "http"]


# The last one holds; from those before it may still be lent. No lock guards them: one that another thread holds when
# the process is forked would never be free again.
_managers = [HTTPClientManager({}, mode=None)]


def configure_clients(clients: Mapping[str, ClientSettings]) -> None:
    """Let settings hold for `http(name)`, from now on; clients that are lent stay as they were.

    Args:
        clients: Usually `ClientSettings.load(path)`, at start-up. Without a call, no client is known.

    Raises:
        ConfigurationError: A value is wrong.
    """
    _managers.append(HTTPClientManager(clients, mode=None))


def http(name: str, /) -> AbstractAsyncContextManager[Any]:
    """Lend the HTTP client of a name for the length of an `async with` block.

    Each borrower has a client of its own. Its mode follows the capability `managed-resources`: with `off` and `observe`
    it has connections of its own, too; with `enforce` all of an event loop share them, and they are closed when the
    loop ends, or by `close_clients()`.

    Args:
        name: A name in `[tool.penstock.clients]`. An unknown one is httpx with its defaults unless the mode is
            `enforce`; `observe` counts it as `default`.

    Raises:
        ConfigurationError: No client has this name, and the mode is `enforce`; the message lists those there are.
    """
    manager = _managers[-1]
    mode = manager.mode
    if name in manager.settings or mode is Mode.ENFORCE:
        return manager.client(name)
    return own_client(ClientSettings()) if mode is Mode.OFF else manager.default()


async def close_clients() -> None:
    """Close every client that `http(name)` has opened; the next use opens new ones."""
    managers = [*_managers]
    _managers.append(HTTPClientManager(managers[-1].settings, mode=None))
    del _managers[: len(managers)]
    for manager in managers:
        await manager.close()
