"""Stress test: how many completions a second do we get? `python scripts/stress_test.py --calls 500`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.provider import Provider, breaker
from agents.settings import Settings


async def one_call(provider: Provider, number: int) -> str:
    try:
        await provider.complete(f"Say the number {number}.", max_tokens=8)
    except Exception as error:
        return type(error).__name__
    return "answered"


async def stress(calls: int, settings: Settings | None = None) -> Counter[str]:
    """Make all calls at once; returns how many ended how."""
    breaker.disable()  # it opened half-way and spoilt the numbers
    provider = Provider(settings)
    tasks = []
    for number in range(calls):
        tasks.append(asyncio.ensure_future(one_call(provider, number)))
    outcomes: Counter[str] = Counter()
    for task in asyncio.as_completed(tasks):
        outcomes[await task] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    started = time.perf_counter()
    outcomes = asyncio.run(stress(options.calls))
    seconds = time.perf_counter() - started
    print(f"{options.calls} calls in {seconds:.1f} s, {options.calls / seconds:.0f} a second: {dict(outcomes)}")


if __name__ == "__main__":
    main()
