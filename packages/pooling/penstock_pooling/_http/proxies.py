"""Which URLs the environment wants to go through a proxy, as httpx2 reads it: what a client takes as `mounts`."""

from __future__ import annotations

import ipaddress
import urllib.request
from types import ModuleType

__all__ = ["environment_proxies"]


def environment_proxies(module: ModuleType) -> dict[str, str | None]:
    """Return proxies by URL pattern; None for what goes straight.

    Args:
        module: Whose patterns they are to be; entries that are none are ignored.
    """
    named = urllib.request.getproxies()
    straight = [host.strip() for host in named.get("no", "").split(",")]
    if "*" in straight:
        return {}
    proxies = {f"{scheme}://": named[scheme] for scheme in ("http", "https", "all") if named.get(scheme)}
    patterns = [_pattern(host) for host in straight if host]
    return {
        **{pattern: proxy if "://" in proxy else f"http://{proxy}" for pattern, proxy in proxies.items()},
        **{pattern: None for pattern in patterns if _is_url(pattern, module)},
    }


def _pattern(host: str) -> str:
    """Return the pattern of an entry of NO_PROXY: a URL, an address, or a domain with those below it."""
    if "://" in host:
        return host
    try:
        address = ipaddress.ip_address(host.partition("/")[0])
    except ValueError:
        exact = host.lower() == "localhost" or host.startswith(("*.", "["))
        return f"all://{host}" if exact else f"all://*{host}"
    return f"all://[{address}]" if address.version == 6 else f"all://{host}"


def _is_url(pattern: str, module: ModuleType) -> bool:
    try:
        module.URL(pattern)
    except module.InvalidURL:
        return False
    return True
