"""Telemetry: calls are recorded in memory and written by a thread in the background."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter

from agents.settings import Settings

logger = logging.getLogger(__name__)


class Telemetry:
    """Counts calls per operation and outcome, and the seconds they took."""

    def __init__(self, interval: float = 5.0) -> None:
        self.interval = interval
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._file = ""

    def record(self, operation: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._counts[f"{operation} {outcome}"] += 1
            self._seconds[operation] += seconds

    def snapshot(self) -> dict:
        with self._lock:
            return {"time": time.time(), "calls": dict(self._counts), "seconds": dict(self._seconds)}

    def start(self, settings: Settings) -> None:
        """Write a line every few seconds, for as long as the program runs."""
        self._file = settings.telemetry_file
        if self._file:
            threading.Thread(target=self._write_forever, name="telemetry", daemon=True).start()
            self._heartbeat()

    def _write_forever(self) -> None:
        while True:
            time.sleep(self.interval)
            try:
                self.write()
            except OSError:
                logger.exception("telemetry lost")

    def write(self) -> None:
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.snapshot()) + "\n")

    def _heartbeat(self) -> None:
        logger.debug("alive, %d calls so far", sum(self._counts.values()))
        timer = threading.Timer(60.0, self._heartbeat)
        timer.daemon = True
        timer.start()


telemetry = Telemetry()
