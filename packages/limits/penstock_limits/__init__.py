"""Concurrency limits for asyncio: a drop-in gather, a bounded map, and the limiter beneath them.

Standard library only. Everything can be made by hand or asked for by name, and has the modes off, observe, enforce.
"""

from penstock_limits._bounded_map import BoundedMap, bounded_map
from penstock_limits._config import ConcurrencyConfig, LimitSettings, PolicySettings
from penstock_limits._create_task import create_task
from penstock_limits._errors import (
    AcquireTimeoutError,
    CallTimeoutError,
    CircuitOpenError,
    ConfigurationError,
    LimitReachedError,
    PenstockError,
    QueueFullError,
    RequestTooLargeError,
    UnknownLimitError,
    UnknownPolicyError,
)
from penstock_limits._events import Event, Listener, add_listener
from penstock_limits._gather import gather
from penstock_limits._hold import Hold
from penstock_limits._limiter import Limiter
from penstock_limits._modes import Mode, ModeSource, set_mode_source
from penstock_limits._names import configure, limiter
from penstock_limits._outcomes import Outcome
from penstock_limits._resources import Resource, resources
from penstock_limits._statistics import LimiterStatistics

__all__ = [
    "AcquireTimeoutError",
    "BoundedMap",
    "CallTimeoutError",
    "CircuitOpenError",
    "ConcurrencyConfig",
    "ConfigurationError",
    "Event",
    "Hold",
    "LimitReachedError",
    "LimitSettings",
    "Limiter",
    "LimiterStatistics",
    "Listener",
    "Mode",
    "ModeSource",
    "Outcome",
    "PenstockError",
    "PolicySettings",
    "QueueFullError",
    "RequestTooLargeError",
    "Resource",
    "UnknownLimitError",
    "UnknownPolicyError",
    "add_listener",
    "bounded_map",
    "configure",
    "create_task",
    "gather",
    "limiter",
    "resources",
    "set_mode_source",
]
