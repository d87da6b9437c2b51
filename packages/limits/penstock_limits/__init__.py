"""Concurrency limits for asyncio: a drop-in gather, a bounded map, and the limiter beneath them.

Standard library only. Everything can be made by hand or asked for by name, and has the modes off, observe, enforce.
"""

from penstock_limits._bounded_map import BoundedMap, bounded_map
from penstock_limits._config import ConcurrencyConfig, LimitSettings
from penstock_limits._create_task import create_task
from penstock_limits._errors import (
    ConfigurationError,
    LimitReachedError,
    PenstockError,
    QueueFullError,
    UnknownLimitError,
)
from penstock_limits._gather import gather
from penstock_limits._limiter import Limiter
from penstock_limits._modes import Mode, ModeSource, set_mode_source
from penstock_limits._names import configure, limiter
from penstock_limits._resources import Resource, resources
from penstock_limits._statistics import LimiterStatistics

__all__ = [
    "BoundedMap",
    "ConcurrencyConfig",
    "ConfigurationError",
    "LimitReachedError",
    "LimitSettings",
    "Limiter",
    "LimiterStatistics",
    "Mode",
    "ModeSource",
    "PenstockError",
    "QueueFullError",
    "Resource",
    "UnknownLimitError",
    "bounded_map",
    "configure",
    "create_task",
    "gather",
    "limiter",
    "resources",
    "set_mode_source",
]
