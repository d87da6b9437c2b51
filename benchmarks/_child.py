"""Measure one contender once, in a fresh interpreter, so that nobody inherits another's heap."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks._bar import load
from benchmarks._stopwatch import Stopwatch

WARM_UP_SHARE = 1_000


def main(bar: str, contender: str, size: str) -> None:
    """Warm up, measure, and print one JSON object."""
    run = load(bar).contenders[int(contender)].run
    asyncio.run(run(max(1, int(size) // WARM_UP_SHARE), Stopwatch()))
    stopwatch = Stopwatch()
    asyncio.run(run(int(size), stopwatch))
    print(json.dumps({"cpu_seconds": stopwatch.cpu_seconds, "memory": stopwatch.memory}))


main(*sys.argv[1:])
