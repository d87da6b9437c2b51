"""Concurrency limits for asyncio: a drop-in gather, a bounded map, and the limiter beneath them.

Standard library only. Everything can be made by hand or asked for by name, and has the modes off, observe, enforce.
"""

from penstock_limits._breakers.breaker import BreakerAttempt, BreakerStatistics, CircuitBreaker
from penstock_limits._config import ConcurrencyConfig, LimitSettings, PolicySettings
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
from penstock_limits._events import Event, Listener, add_listener, emit
from penstock_limits._fanout.bounded_map import BoundedMap, bounded_map
from penstock_limits._fanout.create_task import create_task
from penstock_limits._fanout.gather import gather
from penstock_limits._limiters.adaptive import AdaptiveAttempt, AdaptiveLimit, AdaptiveStatistics
from penstock_limits._limiters.algorithms import Aimd, LatencyGradient, LimitAlgorithm, Sample
from penstock_limits._limiters.hold import Hold
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._limiters.statistics import LimiterStatistics
from penstock_limits._manager import Clients, ConcurrencyManager, Pools
from penstock_limits._metrics import ConcurrencyMetrics
from penstock_limits._modes import CAPABILITIES, Mode, ModeSource, mode_of, mode_override, mode_source, set_mode_source
from penstock_limits._names import configuration, configure, limiter, policy
from penstock_limits._outcomes import Outcome
from penstock_limits._policies.kept_slot import KeptSlot
from penstock_limits._policies.policy import Policy, PolicyStatistics, Slot, current_slot
from penstock_limits._project import read_settings
from penstock_limits._rates.rate import DimensionStatistics, Rate, RateLimiter, RateStatistics, Reservation
from penstock_limits._resources import Resource, resources
from penstock_limits._resources import enter as enter_resource
from penstock_limits._resources import leave as leave_resource
from penstock_limits._retries.backoff import backoff_delay
from penstock_limits._retries.budget import RetryBudget, RetryBudgetStatistics
from penstock_limits._retries.hedging import Hedge, HedgeStatistics, hedge
from penstock_limits._retries.replaced_settings import ReplacedSetting, replaced_settings
from penstock_limits._retries.retry import Retry, RetryStatistics, retry
from penstock_limits._retries.transient import is_transient
from penstock_limits._timeouts import wait_for

__all__ = [
    "CAPABILITIES",
    "AcquireTimeoutError",
    "AdaptiveAttempt",
    "AdaptiveLimit",
    "AdaptiveStatistics",
    "Aimd",
    "BoundedMap",
    "BreakerAttempt",
    "BreakerStatistics",
    "CallTimeoutError",
    "CircuitBreaker",
    "CircuitOpenError",
    "Clients",
    "ConcurrencyConfig",
    "ConcurrencyManager",
    "ConcurrencyMetrics",
    "ConfigurationError",
    "DimensionStatistics",
    "Event",
    "Hedge",
    "HedgeStatistics",
    "Hold",
    "KeptSlot",
    "LatencyGradient",
    "LimitAlgorithm",
    "LimitReachedError",
    "LimitSettings",
    "Limiter",
    "LimiterStatistics",
    "Listener",
    "Mode",
    "ModeSource",
    "Outcome",
    "PenstockError",
    "Policy",
    "PolicySettings",
    "PolicyStatistics",
    "Pools",
    "QueueFullError",
    "Rate",
    "RateLimiter",
    "RateStatistics",
    "ReplacedSetting",
    "RequestTooLargeError",
    "Reservation",
    "Resource",
    "Retry",
    "RetryBudget",
    "RetryBudgetStatistics",
    "RetryStatistics",
    "Sample",
    "Slot",
    "UnknownLimitError",
    "UnknownPolicyError",
    "add_listener",
    "backoff_delay",
    "bounded_map",
    "configuration",
    "configure",
    "create_task",
    "current_slot",
    "emit",
    "enter_resource",
    "gather",
    "hedge",
    "is_transient",
    "leave_resource",
    "limiter",
    "mode_of",
    "mode_override",
    "mode_source",
    "policy",
    "read_settings",
    "replaced_settings",
    "resources",
    "retry",
    "set_mode_source",
    "wait_for",
]
