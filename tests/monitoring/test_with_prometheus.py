"""A real Prometheus scrapes real processes, applies the rules, and answers what the dashboards ask."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml
from penstock_monitoring import default_alerts
from penstock_monitoring.generate import DATA

from tests import prometheus
from tests.monitoring.test_dashboards import FILES, VARIABLES, expressions

PATIENCE = 90.0
PROGRAM = """
import sys
from types import SimpleNamespace
import penstock_limits
from penstock_limits import CircuitBreaker, Limiter, Rate, RateLimiter, RetryBudget, retry
from penstock_monitoring import ConcurrencyMonitor, PrometheusCollector
from prometheus_client import CollectorRegistry, start_http_server

snapshot = SimpleNamespace(environment="production", modes=dict.fromkeys(penstock_limits.CAPABILITIES, sys.argv[2]))
penstock_limits.set_mode_source(SimpleNamespace(mode=lambda capability: sys.argv[2], snapshot=snapshot))
kept = [
    Limiter("api", max_running=1),
    Limiter("twice", max_running=1, mode="observe"),
    Limiter("twice", max_running=1),
    CircuitBreaker("api"),
    RateLimiter("api", requests=Rate(60), tokens=Rate(1000)),
    RetryBudget("api"),
    retry("api"),
]
registry = CollectorRegistry()
PrometheusCollector(ConcurrencyMonitor()).register(registry)
start_http_server(int(sys.argv[1]), addr="127.0.0.1", registry=registry)
sys.stdin.read()
"""


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    folder = tmp_path_factory.mktemp("prometheus")
    server = prometheus.find("prometheus", folder)
    port, *targets = free_ports(3)
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DATA / "alerts.yml")],
        "scrape_configs": [
            {"job_name": "agents", "static_configs": [{"targets": [f"127.0.0.1:{each}" for each in targets]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    commands = [
        [server, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"],
        *(
            [sys.executable, "-c", PROGRAM, str(each), mode]
            for each, mode in zip(targets, ("off", "enforce"), strict=True)
        ),
    ]
    running = [
        subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) for command in commands
    ]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def asked(path: str, **query: str) -> Any:
        try:
            with opener.open(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}") as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    try:
        yield asked
    finally:
        for process in running:
            process.terminate()
            process.communicate()


def until(is_so: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if so := is_so():
                return so
        except (OSError, ValueError):
            pass  # it does not listen yet
        assert time.monotonic() < deadline, "the state that was waited for did not come"
        time.sleep(0.1)


def results(answer: Any) -> list[Any]:
    found: list[Any] = answer["data"]["result"]
    return found


@pytest.mark.slow
def test_prometheus_applies_every_rule_to_real_processes(ask: Callable[..., Any]) -> None:
    """None fails at what several processes show: two modes, two limiters of one name."""
    until(lambda: len(results(ask("query", query="penstock_build_info"))) == 2)

    def applied() -> list[Any]:
        rules = [rule for group in ask("rules")["data"]["groups"] for rule in group["rules"]]
        drift = [rule["state"] for rule in rules if rule["name"] == "PenstockFlagDrift"]
        return rules if drift == ["pending"] and all(rule["health"] != "unknown" for rule in rules) else []

    rules = until(applied)

    assert {rule["name"] for rule in rules} == {rule.name for rule in default_alerts()}
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_prometheus_answers_what_a_dashboard_asks(ask: Callable[..., Any], file: str) -> None:
    """Without an error; what is there for every process, with something."""
    until(lambda: len(results(ask("query", query="penstock_build_info"))) == 2)
    for expression in expressions(file):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)

        answer = ask("query", query=expression)

        assert answer["status"] == "success", (expression, answer)
        if "penstock_capability_mode" in expression or "penstock_build_info" in expression:
            assert results(answer), expression
