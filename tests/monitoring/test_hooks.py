"""Those who are told of alerts: off the loop, bounded, and harmless however they fail."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from penstock_limits import ConfigurationError, Limiter
from penstock_monitoring import (
    Alert,
    AlertRule,
    ConcurrencyMonitor,
    PrometheusCollector,
    default_alerts,
    log_hook,
    webhook_hook,
)
from penstock_monitoring._alerts.courier import WAITING, Courier
from penstock_monitoring._alerts.measures import Latest
from penstock_monitoring._reading.sampler import Rest
from penstock_monitoring._registry.catalogue import metric_of
from prometheus_client import CollectorRegistry

from tests.monitoring.helpers import until, wait_for

ALERT = Alert(
    name="PenstockLimiterWait",
    severity="warning",
    kind="limiter",
    resource="api",
    state="active",
    value=7.5,
    limit=5.0,
    since=1_000_000.0,
    until=None,
    summary="Those who have to wait for api wait 7.5 s on average.",
    runbook="operate/alerts.html#penstocklimiterwait",
)
PATIENCE = 30.0
FULL = AlertRule(
    "Full",
    "warning",
    "{name} is full.",
    "meaning",
    "remedy",
    measure=Latest(metric_of("limiter", "running")),
    limit=0.5,
    quiet=0.0,
    resource="api",
)


def settled(courier: Courier) -> None:
    wait_for(lambda: courier.idle)


def test_a_hook_is_told_in_order_in_a_thread_that_ends() -> None:
    """No thread stays when there is nothing to tell."""
    told: list[tuple[float, str]] = []
    courier = Courier(lambda alert: told.append((alert.value, threading.current_thread().name)))
    before = threading.active_count()

    for number in range(50):
        courier.send(replace(ALERT, value=float(number)))
    settled(courier)

    assert [value for value, _ in told] == list(range(50))
    assert {name for _, name in told} == {"penstock-hook-<lambda>"}
    deadline = time.monotonic() + PATIENCE
    while threading.active_count() > before:
        assert time.monotonic() < deadline


def test_no_alert_is_lost_that_comes_as_the_thread_ends() -> None:
    """One thread or the next tells it."""
    told: list[float] = []
    courier = Courier(lambda alert: told.append(alert.value))

    for number in range(2000):
        courier.send(replace(ALERT, value=float(number)))
        if number % 7 == 0:
            settled(courier)
    settled(courier)

    assert told == list(range(2000))
    assert courier.statistics().told == 2000


@pytest.mark.parametrize("error", [ValueError("https://token@host"), SystemExit(1), KeyboardInterrupt()])
def test_a_hook_that_fails_is_logged_and_counted(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """Without what it says; the next alert is told all the same."""
    told = []

    def hook(alert: Alert) -> None:
        told.append(alert)
        raise error

    courier = Courier(hook)
    courier.send(ALERT)
    courier.send(ALERT)
    settled(courier)

    assert len(told) == 2
    assert courier.statistics().failed == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"the hook hook failed at PenstockLimiterWait: {type(error).__name__}"
    ] * 2


def test_a_hook_that_hangs_holds_up_nobody_and_only_so_many_wait() -> None:
    """The others are dropped, and counted."""
    go = threading.Event()
    courier = Courier(lambda _: go.wait(PATIENCE))
    courier.send(ALERT)
    deadline = time.monotonic() + PATIENCE
    while courier._waiting:  # until the thread has taken the first
        assert time.monotonic() < deadline

    for _ in range(WAITING + 5):
        courier.send(ALERT)
    assert courier.statistics().dropped == 5
    go.set()
    settled(courier)

    assert courier.statistics().told == WAITING + 1


async def test_a_hook_that_hangs_does_not_hold_the_loop_or_another_hook() -> None:
    """The monitor goes on, and is left in time."""
    go = threading.Event()
    told: list[Alert] = []
    limiter = Limiter("api", max_running=1)
    monitor = ConcurrencyMonitor(
        interval=0.01, window=1, alerts=[FULL], hooks=[lambda _: go.wait(PATIENCE), told.append]
    )
    try:
        async with monitor:
            async with limiter:
                await until(lambda: told)
            await until(lambda: len(told) == 2)
            left = time.monotonic()
        assert time.monotonic() - left < PATIENCE / 2
    finally:
        go.set()

    assert [(alert.name, alert.state) for alert in told] == [("Full", "active"), ("Full", "resolved")]


async def test_leaving_a_monitor_lets_hooks_finish() -> None:
    """What was amiss at the very end is told."""
    told: list[Alert] = []

    def slow(alert: Alert) -> None:
        wait_for(lambda: not monitor._runs)  # until it is being left
        told.append(alert)

    monitor = ConcurrencyMonitor(interval=60, window=60, alerts=[FULL], hooks=[slow])
    async with Limiter("api", max_running=1), monitor:
        pass

    assert [alert.state for alert in told] == ["active"]


def test_a_program_ends_although_a_hook_hangs() -> None:
    """Its thread is a daemon."""
    program = (
        "import threading\n"
        "from penstock_monitoring._alerts.courier import Courier\n"
        "from tests.monitoring.test_hooks import ALERT\n"
        "begun = threading.Event()\n"
        "def hook(alert):\n"
        "    begun.set()\n"
        "    threading.Event().wait()\n"
        "Courier(hook).send(ALERT)\n"
        "assert begun.wait(30)\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], timeout=120, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_tells_its_own_alerts_and_not_its_parents() -> None:
    """The thread that the parent had is not there."""
    go = threading.Event()
    told: list[float] = []
    courier = Courier(lambda alert: (go.wait(PATIENCE), told.append(alert.value)))
    courier.send(ALERT)
    courier.send(ALERT)

    child = os.fork()
    if child == 0:
        go.set()
        courier.send(replace(ALERT, value=1.0))
        settled(courier)
        os._exit(0 if told == [1.0] else 1)
    _, status = os.waitpid(child, 0)
    go.set()
    settled(courier)

    assert os.waitstatus_to_exitcode(status) == 0
    assert told == [7.5, 7.5]


async def coroutine(alert: Alert) -> None:
    """A hook that is none."""


@pytest.mark.parametrize(("hook", "said"), [("https://host", "cannot be called"), (coroutine, "coroutine function")])
def test_what_cannot_be_a_hook_is_refused(hook: Any, said: str) -> None:
    """When the monitor is made, not when something is amiss."""
    with pytest.raises(ConfigurationError, match=said):
        ConcurrencyMonitor(hooks=[hook])


@pytest.mark.parametrize(
    ("severity", "state", "level"),
    [("critical", "active", "ERROR"), ("warning", "active", "WARNING"), ("critical", "resolved", "INFO")],
)
def test_the_log_has_an_alert_at_its_level(
    severity: str, state: Any, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With its fields."""
    with caplog.at_level(logging.INFO, "penstock.monitoring"):
        log_hook(replace(ALERT, severity=severity, state=state))

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("penstock.monitoring.alerts", level)
    assert record.getMessage() == (
        f"PenstockLimiterWait {state}: Those who have to wait for api wait 7.5 s on average. "
        "(operate/alerts.html#penstocklimiterwait)"
    )
    assert record.penstock["resource"] == "api"  # type: ignore[attr-defined]


class Receiver:
    """A real server on a loopback socket, which answers as it is told."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.posts: list[tuple[dict[str, str], Any]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((dict(self.headers), json.loads(body)))
                status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/services/T0P/S3CRET"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Receiver() as running:
        yield running


def test_a_webhook_posts_all_that_the_alert_says(receiver: Receiver) -> None:
    """As JSON, with a text that chat services show, and the headers that it was given."""
    webhook_hook(receiver.url, headers={"Authorization": "Bearer S3CRET"})(ALERT)

    ((headers, body),) = receiver.posts
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer S3CRET"
    assert body == {
        "version": 1,
        "text": "[warning] PenstockLimiterWait active: Those who have to wait for api wait 7.5 s on average.",
        "alert": ALERT.as_dict(),
    }


def test_a_value_without_end_is_posted_as_null(receiver: Receiver) -> None:
    """JSON has no such number."""
    webhook_hook(receiver.url)(replace(ALERT, value=float("inf")))

    assert receiver.posts[0][1]["alert"]["value"] is None


def test_what_fails_in_passing_is_tried_again(receiver: Receiver) -> None:
    """Three times at most."""
    receiver.answers = [503, 429, 204]

    webhook_hook(receiver.url)(ALERT)

    assert len(receiver.posts) == 3


@pytest.mark.parametrize(("answers", "attempts", "said"), [([503] * 9, 3, "503"), ([400], 1, "400"), ([302], 1, "302")])
def test_what_does_not_get_through_says_so_without_the_address(
    receiver: Receiver, answers: list[int], attempts: int, said: str
) -> None:
    """A redirect would lose the alert, and another attempt mends no 400."""
    receiver.answers = answers

    with pytest.raises(RuntimeError, match=f"webhook:127.0.0.1: it answered {said}, after {attempts} ") as caught:
        webhook_hook(receiver.url)(ALERT)

    assert len(receiver.posts) == attempts
    assert "S3CRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_nobody_at_the_other_end_is_said_without_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port may be in use by nobody."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Receiver() as gone:
        hook = webhook_hook(gone.url)

    with pytest.raises(RuntimeError, match="ConnectionRefusedError, after 3 attempts") as caught:
        hook(ALERT)

    assert "S3CRET" not in f"{caught.value} {hook!r}"


async def test_a_monitor_posts_what_is_amiss(receiver: Receiver) -> None:
    """And that it is no more."""
    monitor = ConcurrencyMonitor(interval=0.01, window=1, alerts=[FULL], hooks=[webhook_hook(receiver.url)])
    async with monitor:
        async with Limiter("api", max_running=1):
            await until(lambda: receiver.posts)
        await until(lambda: len(receiver.posts) == 2)

    assert [body["alert"]["state"] for _, body in receiver.posts] == ["active", "resolved"]


@pytest.mark.parametrize(
    ("url", "timeout"),
    [
        ("file:///etc/passwd", 5.0),
        ("ftp://S3CRET@host/", 5.0),
        ("https:///S3CRET", 5.0),
        ("http://[S3CRET", 5.0),
        ("http://host:S3CRET/", 5.0),
        ("http://host", 0.0),
        ("http://host", float("nan")),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(url: str, timeout: float) -> None:
    """And what it was given is not repeated."""
    with pytest.raises(ConfigurationError, match="webhook_hook: ") as caught:
        webhook_hook(url, timeout=timeout)

    assert "S3CRET" not in str(caught.value)


async def test_alerts_and_hooks_are_metrics() -> None:
    """1 while it is active, 0 for a while after."""
    limiter = Limiter("api", max_running=1)
    registry = CollectorRegistry()
    monitor = ConcurrencyMonitor(interval=0.01, window=1, alerts=[FULL], hooks=[lambda _: None])
    PrometheusCollector(monitor).register(registry)
    labels = {"name": "api", "kind": "limiter", "alert": "Full", "severity": "warning"}

    def seen() -> float | None:
        return registry.get_sample_value("penstock_alert_active", labels)

    async with monitor:
        assert seen() is None
        async with limiter:
            await until(lambda: seen() == 1)
        await until(lambda: seen() == 0)

    told = {"name": "<lambda>", "outcome": "told"}
    assert registry.get_sample_value("penstock_alert_hook_calls_total", told) == 2


async def test_a_monitor_applies_the_rules_of_the_package_unless_it_is_given_others() -> None:
    """None is given none."""
    limiter = Limiter("api", max_running=1)
    async with limiter:
        async with ConcurrencyMonitor(interval=0.01, window=1, alerts=()) as monitor:
            await until(lambda: monitor.snapshot().process.samples > 3)
            assert monitor.snapshot().alerts == ()
        monitor = ConcurrencyMonitor()

        assert set(monitor._alarm.watch._rules) == {(rule.name, "") for rule in default_alerts()}


async def test_many_resources_are_looked_at_piece_by_piece() -> None:
    """Other tasks run in between."""
    limiters = [Limiter(f"many-{number}", max_running=1) for number in range(2000)]
    monitor = ConcurrencyMonitor(interval=3600, window=3600)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with monitor:
        ticking = asyncio.ensure_future(others())
        await asyncio.sleep(0)
        monitor._alarm.watch._due.clear()
        before = turns
        await monitor._look(Rest(lambda: True))
        ticking.cancel()

    assert turns - before > 2
    assert len(limiters) == 2000


def test_a_hook_that_is_refused_is_called_by_its_name() -> None:
    """What it was given may hold a secret."""

    async def post(alert: Alert, url: str) -> None:
        pass

    with pytest.raises(ConfigurationError, match="coroutine function") as refused:
        Courier(functools.partial(post, url="https://hooks.example/secret"))

    assert "secret" not in str(refused.value)
