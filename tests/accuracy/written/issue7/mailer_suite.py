# ruff: noqa
"""Unit tests of a mailer."""

import pytest


def test_sends(monkeypatch):
    monkeypatch.setattr(mailer, "breaker", NullBreaker())
    assert mailer.send("hello")


def test_opens():
    breaker = CircuitBreaker(enabled=False)
    assert breaker.allow_request()
