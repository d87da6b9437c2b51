# ruff: noqa
"""Quotes, decorated."""

from datetime import timedelta

from aiobreaker import CircuitBreaker
from circuitbreaker import circuit


@circuit(failure_threshold=5)
def quote(symbol):
    return exchange.get(symbol)


@circuit(failure_threshold=1_000_000)
def book(symbol):
    return exchange.book(symbol)


eager = CircuitBreaker(fail_max=5, timeout_duration=timedelta(0))


def warm_up(symbols):
    for symbol in symbols:
        quote.__wrapped__(symbol)


def make_fast(client):
    client.circuit_breaker = NoOpBreaker()


def configure(client):
    client.circuit_breaker = CircuitBreaker(fail_max=4)


def force(feed):
    feed.breaker.state = "closed"
