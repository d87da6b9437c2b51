"""`rules()`: every rule there is, found by a walk over the folders of the phases."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import penstock_migrations
from penstock_migrations.rule import Rule

__all__ = ["rules"]


@cache
def rules() -> tuple[Rule, ...]:
    """Return every rule, ordered by code."""
    phases = [one.name for one in pkgutil.iter_modules(penstock_migrations.__path__) if one.name.startswith("phase")]
    found: list[Rule] = []
    for phase in phases:
        package = importlib.import_module(f"{penstock_migrations.__name__}.{phase}")
        names = [one.name for one in pkgutil.iter_modules(package.__path__) if not one.name.startswith("_")]
        modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
        found.extend(module.RULE for module in modules if isinstance(getattr(module, "RULE", None), Rule))
    return tuple(sorted(found, key=lambda rule: rule.code))
