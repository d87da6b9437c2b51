"""For sessions of aiohttp: what `penstock_pooling` offers for httpx."""

from penstock_pooling._http.aiohttp import policy_middleware

__all__ = ["policy_middleware"]
