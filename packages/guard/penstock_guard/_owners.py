"""Who ends what a test makes: its fixtures, as pytest knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = ["owners_of"]


def owners_of(item: pytest.Item) -> Callable[[], list[object]]:
    """Return a function that returns what lives at the end of a test, and is ended after it.

    That is what `setup_method` and `setUpClass` have made, and what fixtures hold then: one may begin amid the test,
    and one that yields nothing still holds what its clean-up needs.
    """
    instance = list(_instance(item))
    return lambda: [*instance, *getattr(item, "funcargs", {}).values(), *_fixtures(item)]


def _instance(item: pytest.Item) -> Iterator[object]:
    instance: Any = getattr(item, "instance", None)
    if hasattr(instance, "__dict__"):
        yield from vars(instance).values()
        yield from vars(type(instance)).values()


def _fixtures(item: pytest.Item) -> Iterator[object]:
    """Return values of fixtures, whatever their scope, and what ends them: pytest has no public way to ask."""
    stack = getattr(getattr(item.session, "_setupstate", None), "stack", {})
    for finalizers, _ in list(stack.values()):
        for finalizer in finalizers:
            definition = getattr(getattr(finalizer, "func", finalizer), "__self__", None)
            if isinstance(definition, pytest.FixtureDef):
                yield from definition.cached_result or ()
                yield from getattr(definition, "_finalizers", ())
            else:
                yield finalizer
