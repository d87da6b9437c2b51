"""Takes the pictures of the documentation: `python -m tests.monitoring.view.pictures`. Needs chromium, and a minute."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import tempfile
import urllib.request
from pathlib import Path

import rich.console
from penstock_limits import AcquireTimeoutError, CircuitBreaker, Limiter, QueueFullError, Rate, RateLimiter
from penstock_monitoring import ConcurrencyMonitor
from penstock_monitoring._view.look import Look
from penstock_monitoring._view.screen import everything
from penstock_tasks import TaskManager, TaskScope
from PIL import Image

from tests.devtools import opened

ASSETS = Path(__file__).parents[3] / "docs" / "assets"
WATCHED = 45.0  # seconds before the pictures, so that the charts have something to show


async def work(limiter: Limiter, seconds: float) -> None:
    """Use a limiter again and again."""
    while True:
        with contextlib.suppress(QueueFullError, AcquireTimeoutError):
            async with limiter:
                await asyncio.sleep(random.random() * seconds)
        await asyncio.sleep(random.random() * seconds / 2)


async def beat() -> None:
    """Be a service."""
    await asyncio.Event().wait()


async def run(tasks: TaskManager, ingest: TaskScope) -> None:
    """Give a few limiters more or less to do than they allow."""
    for name, allowed, queued, callers, seconds in (
        ("openai-chat", 8, 50, 7, 0.4),
        ("api_call", 20, None, 12, 0.3),
        ("summaries", 10, 5, 18, 0.3),
        ("vector-search", 16, None, 4, 0.1),
        ("tools", 6, None, 2, 0.2),
    ):
        limiter = Limiter(name, max_running=allowed, max_queued=queued)
        for _ in range(callers):
            tasks.start_soon(work, limiter, seconds, name=name)
    embeddings = Limiter("embeddings", max_running=4)
    for _ in range(24):
        ingest.start_soon(work, embeddings, 0.5, name="embed")


async def main() -> None:
    """Run a program that has something to show, and look at it."""
    broken, rate = CircuitBreaker("billing"), RateLimiter("anthropic", requests=Rate(60))
    for _ in range(200):
        with contextlib.suppress(Exception):
            async with broken.attempt():
                raise OSError
    for _ in range(21):
        async with rate.reserve():
            pass
    async with TaskManager("agents", drain_timeout=0, signals=()) as tasks, ConcurrencyMonitor("agents") as monitor:
        monitor.alert_resource_exhaustion("embeddings", 0.8)
        tasks.service(beat, name="heart")
        page = monitor.serve()
        async with tasks.scope("ingest") as ingest:
            await run(tasks, ingest)
            await look(page.url)
            ingest.cancel()


async def look(address: str) -> None:
    """Take every picture."""
    with tempfile.TemporaryDirectory() as profile:
        async with opened(address, Path(profile)) as page:
            await page.look(width=1280, height=1180)
            before = await asyncio.to_thread(snapshot, address)
            await asyncio.sleep(WATCHED)
            for name, width, height, dark in (
                ("live-view-light.png", 1280, 1180, False),
                ("live-view-dark.png", 1280, 1180, True),
                ("live-view-narrow.png", 390, 844, False),
            ):
                await page.look(width=width, height=height, dark=dark)
                await asyncio.sleep(1.5)  # the next answer draws the charts in their new size
                picture = Image.open(io.BytesIO(await page.picture()))
                picture.convert("RGB").quantize(64).save(ASSETS / name, optimize=True)
    console = rich.console.Console(record=True, width=112, file=io.StringIO())
    console.print(everything(await asyncio.to_thread(snapshot, address), before, Look(), 112))
    (ASSETS / "top.svg").write_text(without_fonts(console.export_svg(title="penstock top")), encoding="utf-8")


def snapshot(address: str) -> dict[str, object]:
    """Return what the page gets."""
    with urllib.request.urlopen(f"{address}snapshot.json") as answer:
        return json.load(answer)


def without_fonts(picture: str) -> str:
    """Return a picture that loads nothing from elsewhere."""
    while "@font-face" in picture:
        start = picture.index("@font-face")
        picture = picture[:start] + picture[picture.index("}", start) + 1 :]
    return picture


if __name__ == "__main__":
    asyncio.run(main())
