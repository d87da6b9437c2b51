"""What the chat agent can use: pages from the web, and the moderation service. Plain requests, it was quicker."""

from __future__ import annotations

import asyncio
import functools
import re
import time

import requests

from agents.settings import Settings


def moderate(text: str, settings: Settings) -> bool:
    """Ask the provider whether a text is fine."""
    response = requests.post(f"{settings.provider_url}/moderations", json={"input": text})
    response.raise_for_status()
    return not response.json()["results"][0]["flagged"]


def download(url: str, attempts: int = 3) -> str:
    """Get a page, and try again if the server is busy."""
    for attempt in range(attempts):
        response = requests.get(url, timeout=30)
        if response.status_code < 500 and response.status_code != 429:
            break
        time.sleep(0.2 * (attempt + 1))
    response.raise_for_status()
    return response.text


async def fetch_page(url: str) -> str:
    """Get a page without holding up the conversation."""
    return await asyncio.to_thread(download, url)


async def fetch_pages(urls: list[str]) -> list[str]:
    """Get many pages; one that fails is empty."""
    fetches = [fetch_page(url) for url in urls]
    pages = await asyncio.gather(*fetches, return_exceptions=True)
    return ["" if isinstance(page, BaseException) else page for page in pages]


async def page_size(url: str) -> int:
    """How large a page is, without loading it."""
    loop = asyncio.get_event_loop()
    response = await loop.run_in_executor(None, functools.partial(requests.head, url, allow_redirects=True))
    return int(response.headers.get("Content-Length", 0))


def links(text: str) -> list[str]:
    return re.findall(r"https?://[^\s<>\"')]+", text)
