"""Nothing secret is shown: secrets are planted where programs have them, and looked for in all that is shown."""

from __future__ import annotations

import asyncio
import logging

import pytest
from penstock_limits import Limiter, Policy, Rate, RateLimiter, Retry
from penstock_monitoring import ConcurrencyMonitor, OpenTelemetryBridge, PrometheusCollector
from penstock_monitoring._reading.shown import shown, shown_name
from penstock_pooling import DatabasePoolManager, PoolSettings
from penstock_tasks import TaskManager
from prometheus_client import CollectorRegistry, generate_latest

from tests.monitoring.helpers import Fake, until
from tests.monitoring.test_opentelemetry import exported
from tests.monitoring.test_snapshot import Node
from tests.tasks.tasks.helpers import stubborn

PASSWORD = "correct-horse-battery"
API_KEY = "sk-proj-4dpJwqVVYzT1pZs0"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
PROMPT = "summarise the divorce of Mr Smith"
SECRETS = (PASSWORD, API_KEY, TOKEN, PROMPT, "divorce")
DSN = f"postgresql://app:{PASSWORD}@127.0.0.1:1/app"


class Manager(Fake):
    """A task manager whose tasks have the names that people give them."""

    def tree(self) -> Node:
        return Node("jobs", 1.0, children=(Node(PROMPT, 1.0), Node(f"call-{API_KEY}", 1.0)))


async def ask(prompt: str, *, headers: dict[str, str]) -> None:
    raise RuntimeError(f"{prompt} failed with {headers}")


async def run_tasks(headers: dict[str, str]) -> None:
    """Let tasks that are named after what they are about fail, be cancelled, and be left behind."""
    may_end = asyncio.Event()
    async with TaskManager("agents", drain_timeout=0.01, cancel_timeout=0.01) as tasks:
        tasks.start_soon(asyncio.sleep, 60, name=PROMPT)
        tasks.start_soon(stubborn, may_end, name=PROMPT)
        with pytest.raises(RuntimeError):
            await tasks.create_task(ask(PROMPT, headers=headers), name=PROMPT)
    may_end.set()


async def work(monitor: ConcurrencyMonitor) -> None:
    """Do what programs do, with secrets in the arguments, the headers and the exceptions."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    policy = Policy("llm", limiter=Limiter("llm", max_running=1), retry=Retry("llm", attempts=2, base=0.001))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await policy.call(ask, PROMPT, headers=headers)
    with pytest.raises(RuntimeError):
        await asyncio.create_task(ask(PROMPT, headers=headers), name=PROMPT)
    await run_tasks(headers)
    pools = DatabasePoolManager({"main": PoolSettings(dsn=DSN, min_size=0, max_size=1)})
    await pools.initialize_pools()
    with pytest.raises(Exception):  # noqa: B017 - nobody listens there
        await pools.get_connection("main")
    number = monitor.snapshot().process.samples
    await until(lambda: monitor.snapshot().process.samples > number + 2)
    await pools.close()


@pytest.fixture
def secret_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", API_KEY)
    monkeypatch.setenv("DATABASE_URL", DSN)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


async def test_no_secret_is_in_a_scrape_a_snapshot_or_a_log(
    secret_environment: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even if it is in the name of a limiter, where it never should be."""
    caplog.set_level(logging.DEBUG)
    kept = [
        Limiter(DSN, max_running=1),
        Limiter(f"for {API_KEY}", max_running=1),
        RateLimiter(f"token={PASSWORD}", requests=Rate(1)),
    ]
    registry = CollectorRegistry()
    with Manager("tasks", "jobs", {"url": DSN, PASSWORD: 1}), Fake("pool", "broken", ValueError(DSN)):
        async with ConcurrencyMonitor(interval=0.01, window=1) as monitor:
            monitor.track_connection_pool(DSN, 1, 1)
            monitor.alert_resource_exhaustion(DSN, 0.5)
            PrometheusCollector(monitor).register(registry)
            await work(monitor)
            await until(lambda: monitor.snapshot().alerts)
            page = monitor.snapshot().to_json()
            scrape = generate_latest(registry).decode()
            log = "\n".join(
                f"{record.getMessage()} {vars(record)}" for record in caplog.records if "penstock" in record.name
            )
            telemetry = str(bridged(monitor))

    for place, text in {"snapshot": page, "scrape": scrape, "log": log, "telemetry": telemetry}.items():
        assert [secret for secret in SECRETS if secret in text] == [], place
    assert "alert.active" in log
    assert "cannot be read: ValueError" in log
    assert "task '***' of 'agents' was cancelled, does not stop" in log
    assert "***: cancelled after" in log
    assert 'name="***"' in scrape
    assert '"main"' in page
    assert len(kept) == 3


def bridged(monitor: ConcurrencyMonitor) -> object:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    OpenTelemetryBridge(monitor).register(MeterProvider([reader]).get_meter("test"))
    return {name: metric.to_json() for name, metric in exported(reader).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://app:pa%40ss@db:5432/app", "postgresql://***@db:5432/app"),
        ("redis://:pass@word@cache", "redis://***@cache"),
        ("host=db password=hunter2 user=app", "host=db password=*** user=app"),
        ("https://x/?api_key=abc&page=2", "https://x/?api_key=***&page=2"),
        ("postgresql://app:pa/ss@db/app", "postgresql://***@db/app"),
        ("client_secret=hunter2 and more", "client_secret=*** and more"),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "AWS_SECRET_ACCESS_KEY=***"),
        ("access_token: hunter2", "access_token: ***"),
        ('{"password": "hunter2"}', '{"password": "***"}'),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("sk-ant-api03-abcdef", "***"),
        ("ghp_abcdefghijklmnop", "***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("openai", "openai"),
        ("asyncpg main of agents/rag.py:12", "asyncpg main of agents/rag.py:12"),
        ("max-10", "max-10"),
        ("task-force", "task-force"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text: str, expected: str) -> None:
    """And what does not is left alone."""
    assert shown(text) == expected


def test_a_name_of_a_task_is_one_word() -> None:
    """More are what the task is about."""
    assert [shown_name(name) for name in ("worker-1", "agents.rag:fetch", PROMPT, "")] == [
        "worker-1",
        "agents.rag:fetch",
        "***",
        "***",
    ]


def test_the_values_of_secret_variables_are_not_shown(secret_environment: None) -> None:
    """Wherever they turn up."""
    assert shown(f"pool of {PASSWORD}") == "pool of ***"
