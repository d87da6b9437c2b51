"""The monitor: watches what the process limits, pools and owns, and tells whoever asks."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import os
import threading
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penstock_limits import ConfigurationError, configuration
from penstock_limits.forks import after_fork

from penstock_monitoring._alerts.alarm import Alarm
from penstock_monitoring._alerts.defaults import default_alerts, exhaustion
from penstock_monitoring._alerts.hooks import Hook
from penstock_monitoring._alerts.rule import AlertRule
from penstock_monitoring._reading.plain import node
from penstock_monitoring._reading.read import ResourceReading, build, capabilities, facts, threads
from penstock_monitoring._reading.sampler import Rest, Sampler
from penstock_monitoring._reading.scan import Key, Trees
from penstock_monitoring._reading.series import Names, Series, series_of
from penstock_monitoring._reading.shown import shown, shown_name
from penstock_monitoring._reading.snapshot import ProcessReading, Snapshot
from penstock_monitoring._reading.workers import folder, worker_in
from penstock_monitoring._view.page_server import PageServer

__all__ = ["ConcurrencyMonitor"]

logger = logging.getLogger("penstock.monitoring")

FEW = 100  # resources, and tasks, that are read at once where an event loop waits for it
NODES = 2_000  # of the task trees, in a snapshot


@dataclass(frozen=True, slots=True)
class _Semaphore:
    running: int
    max_running: int


@dataclass(frozen=True, slots=True)
class _Pool:
    running: int
    max_running: int
    idle: int


class ConcurrencyMonitor:
    """Watches every limiter, rate, breaker, retry, pool, client and task manager of the process.

    It reads their plain counters when somebody asks, so nothing is counted for it. While it is entered, a task in the
    event loop also samples how much of each limit is in use and how late the loop is. Enter it in each event loop that
    is to be watched; leaving ends that loop's task.

    Args:
        name: What people know it by.
        interval: Seconds between two samples; 0.5 by default.
        window: Seconds for which samples are kept; 300 by default.
        threshold: The share of a limit, above 0 up to 1, from which on it is nearly used up; None for the
            `alert_threshold_percentage` of `penstock_limits.configuration()`.
        alerts: The rules that say when something is amiss; None for `default_alerts()`.
        hooks: Called with each alert that becomes active or is resolved, one at a time in a thread of its own: such as
            `log_hook` and `webhook_hook(url)`. One that fails is logged and counted.
        page: The port of this machine on which it serves the live view while it is entered, 0 for any that is free;
            None, the default, for none.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(
        self,
        name: str = "penstock",
        *,
        interval: float = 0.5,
        window: float = 300.0,
        threshold: float | None = None,
        alerts: Iterable[AlertRule] | None = None,
        hooks: Iterable[Hook] = (),
        page: int | None = None,
    ) -> None:
        where = f"monitor {name!r}"
        if not 0.01 <= interval <= 3600:
            raise ConfigurationError(f"{where}: interval = {interval!r}; allowed are 0.01 to 3600 seconds")
        if not interval <= window <= 86_400:
            raise ConfigurationError(f"{where}: window = {window!r}; allowed are seconds from the interval up to 86400")
        if threshold is not None:
            _check_share(where, "threshold", threshold)
        self._name = name
        self._window = float(window)
        self._threshold = threshold
        self._page = page
        self._servers: list[PageServer] = []
        self._paged: PageServer | None = None
        self._shared_in: Path | None = None
        self._started = time.time()
        self._runs: dict[asyncio.AbstractEventLoop, list[asyncio.Task[None]]] = {}
        self._names = Names()
        self._shared = -float("inf")
        self._told: set[type[Exception]] = set()
        self._tracked: dict[Key, Any] = {}
        self._alarm = Alarm(default_alerts() if alerts is None else alerts, hooks)
        self._lock = threading.Lock()
        self._sampler = Sampler(float(interval), self._window, self._share_near, self._readings_tracked, self._look)
        build()  # it reads files, which a snapshot in an event loop must not
        after_fork(self._forget_parent)

    def __repr__(self) -> str:
        return f"<ConcurrencyMonitor {self._name!r}: {self._sampler.number} samples, {len(self._runs)} event loops>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    async def __aenter__(self) -> Self:
        """Begin to sample, in this event loop.

        Raises:
            ConfigurationError: `PROMETHEUS_MULTIPROC_DIR` names a folder that cannot be used.
            OSError: The page's port is in use, or not for this user.
            RuntimeError: It is entered in this event loop already.
        """
        shared = folder()
        if shared is not None:
            await asyncio.to_thread(worker_in, shared)
        await self._sampler.sample_if_due()
        loop = asyncio.get_running_loop()
        with self._lock:
            self._forget_closed()
            if loop in self._runs:
                raise RuntimeError(f"{self!r} is entered in this event loop already")
            if self._page is not None and self._paged is None:
                self._paged = self.serve(port=self._page)
            self._shared_in = shared
            called = _free_name({run.get_name() for runs in self._runs.values() for run in runs})
            works = [self._sampler.run(called)] if shared is None else [self._sampler.run(called), self._share(shared)]
            # In a context of its own: it must not keep alive what that of the caller holds.
            context = contextvars.Context()
            self._runs[loop] = [context.run(loop.create_task, work, name=called) for work in works]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End sampling in this event loop; in the last, give hooks two seconds to finish."""
        loop = asyncio.get_running_loop()
        with self._lock:
            runs = self._runs.pop(loop, [])
            self._forget_closed()
            last = not self._runs
            servers, shared = (self._servers, self._shared_in) if last else ([], None)
            if last:
                self._servers, self._paged, self._shared_in = [], None, None
        for run in runs:
            run.cancel()
        # All of it is under way before this waits, so that whoever cancels it stops nothing but the waiting.
        ends: list[asyncio.Future[None]] = [*runs, *(loop.run_in_executor(None, server.close) for server in servers)]
        if shared is not None:
            ends.append(loop.run_in_executor(None, self._withdraw, shared))
        if ends:
            await asyncio.wait(ends)
        if last:
            await self._alarm.settle()

    def _forget_closed(self) -> None:
        """Let go of event loops that were closed without leaving the monitor."""
        self._runs = {loop: runs for loop, runs in self._runs.items() if not loop.is_closed()}

    def _forget_parent(self) -> None:
        self._lock = threading.Lock()
        self._runs = {}
        self._servers, self._paged, self._shared_in = [], None, None
        self._sampler.forget_parent()

    # --- the RFC's names, for what is no resource

    def track_semaphore_usage(self, name: str, current: int, limit: int) -> None:
        """Take note of how much of a semaphore is in use that is no limiter; it is shown as one.

        Args:
            name: Its name.
            current: How many hold it.
            limit: How many may.
        """
        self._tracked["limiter", shown(name)] = _Semaphore(int(current), int(limit))

    def track_connection_pool(self, pool: str, active: int, total: int) -> None:
        """Take note of how much of a pool is in use that is none of ours; it is shown as one.

        Args:
            pool: Its name.
            active: Connections in use.
            total: Connections that there are.
        """
        self._tracked["pool", shown(pool)] = _Pool(int(active), int(total), max(0, int(total) - int(active)))

    def alert_resource_exhaustion(self, resource: str, threshold: float) -> None:
        """Tell when so much of a resource is in use, by the alert `PenstockResourceExhausted`.

        As every alert it is told by the events `alert.active` and `alert.resolved`, by the hooks, and in snapshots,
        while the monitor is entered. It is resolved when nine tenths of the threshold are in use or less.

        Args:
            resource: The name of a limiter, a pool or another resource with a limit, now or later.
            threshold: The share of its limit, above 0 up to 1.

        Raises:
            ConfigurationError: The threshold is no such share.
        """
        _check_share(f"monitor {self._name!r}", "threshold", threshold)
        self._alarm.watch.add(exhaustion(shown(resource), threshold))

    # --- what it sees

    def snapshot(self) -> Snapshot:
        """Return everything as it is now; in any thread.

        Where an event loop would wait for it, more than 100 resources are shown as they were sampled last, and of more
        than 100 tasks only the managers. Ask in a thread, by `asyncio.to_thread(monitor.snapshot)`, for all of it.
        """
        sampler, waits = self._sampler, asyncio._get_running_loop() is not None
        readings, trees = self._seen(waits)
        alive, daemons = threads()
        return Snapshot(
            at=time.time(),
            process=ProcessReading(
                pid=os.getpid(),
                started=self._started,
                interval=sampler.interval,
                window=self._window,
                threshold=self._share_near(),
                samples=sampler.number,
                unreadable=sampler.scanner.unreadable,
                version=build().version,
                python=build().python,
            ),
            resources=readings,
            utilisation=sampler.utilisation,
            loops=tuple(lag.statistics() for lag in sampler.lags()),
            tasks=_trees(trees, FEW if waits else NODES),
            threads={"alive": alive, "daemon": daemons},
            capabilities=capabilities(),
            alerts=tuple(alert.as_dict() for alert in self._alarm.watch.alerts),
        )

    def _seen(self, waits: bool) -> tuple[tuple[ResourceReading, ...], Trees]:
        """Return resources, and which have trees; where an event loop waits, few or those of the last sample."""
        sampler = self._sampler
        if not (waits and sampler.number and self._samples()):  # another loop may be taking the first sample
            scan = sampler.scan()
            return tuple(scan), scan.trees
        if len(sampler.latest) <= FEW:
            scan = sampler.scan()
            readings = tuple(itertools.islice(scan, FEW + 1))
            if len(readings) <= FEW:
                return readings, scan.trees
        return sampler.latest, sampler.trees

    def _samples(self) -> bool:
        return any(not loop.is_closed() for loop in list(self._runs))

    def _readings_tracked(self, there: Container[Key]) -> Iterator[ResourceReading]:
        """Return what is tracked by hand, unless it is a resource all the same."""
        yield from (ResourceReading(*key, what) for key, what in self._tracked.copy().items() if key not in there)

    def _observed(self) -> Iterator[ResourceReading]:
        """Return all that a collector shows; read now."""
        scan = self._sampler.scan()
        readings = list(scan)
        yield from readings
        yield from scan.gone
        yield from self._of_process(len(readings))
        yield from self._alarm.readings()

    def _of_process(self, found: int) -> Iterator[ResourceReading]:
        yield from (ResourceReading("loop", each.loop, each.statistics()) for each in self._sampler.lags())
        yield from facts(found, self._sampler.scanner.unreadable, self._sampler.number)

    def _series(self, names: Names) -> Series:
        """Return the values of every metric as they are now."""
        return series_of(self._observed(), self._sampler.tracks, names)

    async def _share(self, where: Path) -> None:
        """Let other processes see, at every interval, what this one shows; until cancelled."""
        while True:
            await asyncio.to_thread(self._share_now, where)
            await asyncio.sleep(self._sampler.interval)

    def _share_now(self, where: Path) -> None:
        if time.monotonic() - self._shared < self._sampler.interval / 2:
            return  # another loop's task did
        self._shared = time.monotonic()
        try:
            series = self._series(self._names)
            with self._lock:
                if self._runs:
                    worker_in(where).write(series)
        except Exception as error:  # noqa: BLE001 - the next time may be better
            if type(error) not in self._told:
                self._told.add(type(error))
                logger.warning("what this process shows cannot be shared: %s", type(error).__name__)

    def _withdraw(self, where: Path) -> None:
        with self._lock:
            if not self._runs:
                worker_in(where).withdraw()

    def serve(self, host: str = "127.0.0.1", port: int = 0, token: str | None = None) -> PageServer:
        """Serve the live view, which only shows: as a page, as JSON, and as metrics if prometheus_client is installed.

        It has threads of its own, and ends with its `close()`, or when the monitor is left in its last event loop.

        Args:
            host: An address of this machine, or `localhost`; by default nobody else can look.
            port: A port; by default any that is free, which the server then tells.
            token: What whoever looks must know, 16 characters or more; needed for a host that others can reach.

        Raises:
            ConfigurationError: The host is no address, a token is needed, or it is too short.
            OSError: The port is in use, or not for this user.
        """
        server = PageServer(self, host, port, token)
        self._servers.append(server)
        return server

    # --- what is amiss

    def _share_near(self) -> float:
        return configuration().alert_threshold_percentage if self._threshold is None else self._threshold

    async def _look(self, rest: Rest) -> None:
        """Apply the rules to the last sample."""
        sampler = self._sampler
        if sampler.resumed:
            self._alarm.watch.resume()
        for _ in self._alarm.watch.steps(self._sampled(), sampler.tracks, time.monotonic()):
            if rest.due():
                await rest.take()

    def _sampled(self) -> Iterator[ResourceReading]:
        yield from self._sampler.latest
        yield from self._sampler.gone
        yield from self._of_process(len(self._sampler.latest))


def _free_name(taken: set[str]) -> str:
    """Return a name for the event loop of this thread."""
    if threading.current_thread() is threading.main_thread() and "main" not in taken:
        return "main"
    return next(name for number in itertools.count(2) if (name := f"loop-{number}") not in taken)


def _trees(found: Trees, most: int) -> tuple[dict[str, Any], ...]:
    """Return the trees of tasks of all that have one; of what has more tasks than are left of so many, its root."""
    budget = [NODES]
    trees: list[dict[str, Any]] = []
    for resource in filter(None, (each() for each in found)):
        try:
            number = getattr(resource.statistics(), "running", 0) if most < NODES else 0
            if number > most:
                trees.append({"name": shown_name(str(resource.name)), "running": number, "children": []})
                continue
            most -= number
            trees.append(node(resource.tree(), budget))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - one that fails must not hide the rest
            logger.debug("the tasks of a %s cannot be read: %s", type(resource).__name__, type(error).__name__)
    return tuple(trees)


def _check_share(where: str, what: str, share: float) -> None:
    if not 0 < share <= 1:
        raise ConfigurationError(f"{where}: {what} = {share!r}; allowed are shares above 0 up to 1")
