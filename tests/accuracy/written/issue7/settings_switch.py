# ruff: noqa
"""Switches in settings and in the environment."""

import os

USE_CIRCUIT_BREAKER = False


async def quote(symbol):
    if not settings.use_breaker:
        return await exchange.quote(symbol)
    return await breaker.call(exchange.quote, symbol)


async def trade(order):
    if os.getenv("DISABLE_BREAKER") == "1":
        logger.warning("breaker off by DISABLE_BREAKER")
        return await exchange.trade(order)
    return await breaker.call(exchange.trade, order)


async def cancel(order):
    if os.getenv("DISABLE_BREAKER") == "1":
        return await exchange.cancel(order)
    return await breaker.call(exchange.cancel, order)


def backfill(days):
    breaker.enabled = False
    for day in days:
        load(day)


def replay(days):
    os.environ["CIRCUIT_BREAKER_ENABLED"] = "0"
    for day in days:
        load(day)


def start():
    os.environ["CIRCUIT_BREAKER_ENABLED"] = "1"
    return {"breaker_threshold": 5}
