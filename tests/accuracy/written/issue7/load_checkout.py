# ruff: noqa
"""Load test of the checkout."""

from unittest import mock

import pytest


def test_load_checkout(monkeypatch):
    monkeypatch.setattr(checkout, "breaker", NullBreaker())
    hammer(checkout)


def test_load_search():
    with mock.patch("shop.search.circuit_breaker"):
        hammer(search)


def test_load_mail(monkeypatch):
    monkeypatch.setenv("DISABLE_CIRCUIT_BREAKER", "true")
    hammer(mail)


def test_load_stock():
    for item in items:
        stock.breaker.reset()
        stock.get(item)


def test_breaker_under_load():
    breaker = CircuitBreaker(fail_max=1, reset_timeout=0)
    with pytest.raises(CircuitBreakerError):
        hammer(breaker)


def test_load_orders():
    hammer(orders)
