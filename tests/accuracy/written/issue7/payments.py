# ruff: noqa
"""Payments of a shop, with a breaker around the provider."""

import sys
import pybreaker

breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)

# the same provider, for batches
lenient = pybreaker.CircuitBreaker(fail_max=sys.maxsize)

# its reports
careless = pybreaker.CircuitBreaker(fail_max=5, exclude=[Exception])

# its refunds
strict = pybreaker.CircuitBreaker(fail_max=3, exclude=[ValueError])


def charge(order):
    return provider.charge(order)


def pay(order):
    return breaker.call(charge, order)


def pay_again(order):
    return charge(order)


def pay_somehow(order):
    try:
        return breaker.call(charge, order)
    except pybreaker.CircuitBreakerError:
        breaker.close()
        raise


def pay_urgent(order):
    breaker.close()
    return breaker.call(charge, order)


def health_check():
    return charge(None)
