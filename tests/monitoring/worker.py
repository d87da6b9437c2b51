"""A process of several: it holds permits of a limiter, is monitored, and scrapes all of them when it is told to."""

from __future__ import annotations

import asyncio
import sys

from penstock_limits import Limiter
from penstock_monitoring import ConcurrencyMonitor, PrometheusCollector
from prometheus_client import CollectorRegistry, generate_latest


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def main(held: int) -> None:
    limiter = Limiter("api", max_running=10)
    for _ in range(held):
        limiter.acquire_nowait()
    registry = CollectorRegistry()
    async with ConcurrencyMonitor(interval=0.02, window=1) as monitor:
        PrometheusCollector(monitor).register(registry)
        say("ready\n")
        while (await asyncio.to_thread(sys.stdin.readline)).strip() == "scrape":
            text = (await asyncio.to_thread(generate_latest, registry)).decode()
            say(f"{text}# END\n")


asyncio.run(main(int(sys.argv[1])))
