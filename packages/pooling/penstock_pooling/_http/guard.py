"""A policy around a request, whichever client sends it: what it takes, and how a response counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import penstock_limits
from penstock_limits import ConfigurationError, Policy, Slot

__all__ = ["Amounts", "Guard", "counts_as_failure"]

Amounts = Callable[[Any], Mapping[str, float]]

_FAILURES = frozenset({408, 425, 429})  # and all from 500 on


class Guard:
    """What a request goes through.

    Args:
        policy: The policy, or its name in the configuration.
        amounts: Says of a request how much it will take of the rate: `{"tokens": 1_200}`; None for one request.

    Raises:
        ConfigurationError: It is no policy, or `amounts` is no function.
        UnknownPolicyError: There is no policy of this name.
    """

    def __init__(self, policy: Policy | str, amounts: Amounts | None) -> None:
        if not isinstance(policy, (Policy, str)):
            raise ConfigurationError(f"policy = {policy!r}; allowed is a Policy, or the name of one")
        if amounts is not None and not callable(amounts):
            raise ConfigurationError(f"amounts = {amounts!r}; allowed is a function of the request")
        self.policy = penstock_limits.policy(policy) if isinstance(policy, str) else policy
        self._amounts = amounts

    def slot(self, request: Any) -> Slot:
        """Return the slot for a request."""
        amounts: Mapping[str, Any] = {} if self._amounts is None else self._amounts(request)
        return self.policy.slot(**amounts)


def counts_as_failure(slot: Slot, status: int, headers: Mapping[str, str]) -> bool:
    """Let a slot learn from a response, as soon as its headers are there; tell whether the service has failed.

    408, 425, 429 and all from 500 on are the service's failures. Other statuses from 400 on are the caller's fault:
    the call counts as nothing.
    """
    slot.learn(headers)
    if status >= 500 or status in _FAILURES:
        return True
    if status >= 400:
        slot.ignored()
    return False
