"""What the RFC names is there, and is called as the RFC writes it."""

import inspect
from pathlib import Path

import pytest
from penstock_limits import ConcurrencyConfig, ConcurrencyManager, ConcurrencyMetrics
from penstock_monitoring import ConcurrencyMonitor
from penstock_pooling import DatabasePoolManager
from penstock_tasks import TaskManager

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/design/rfc.md").read_text(encoding="utf-8")

# Whether it is a coroutine function, and its parameters in the RFC's order, with the RFC's defaults.
METHODS = {
    (ConcurrencyManager, "acquire_semaphore"): (True, {"name": ..., "limit": 10}),
    (ConcurrencyManager, "get_connection_pool"): (True, {"service": ...}),
    (ConcurrencyManager, "rate_limit"): (True, {"service": ..., "operation": ...}),
    (DatabasePoolManager, "initialize_pools"): (True, {}),
    (DatabasePoolManager, "get_connection"): (True, {"pool_name": ...}),
    (DatabasePoolManager, "release_connection"): (True, {"pool_name": ..., "conn": ...}),
    (TaskManager, "create_limited_task"): (True, {"coro": ..., "semaphore_name": ...}),
    (TaskManager, "timeout_wrapper"): (True, {"coro": ..., "timeout": ...}),
    (TaskManager, "cleanup_tasks"): (True, {}),
    (ConcurrencyMonitor, "track_semaphore_usage"): (False, {"name": ..., "current": ..., "limit": ...}),
    (ConcurrencyMonitor, "track_connection_pool"): (False, {"pool": ..., "active": ..., "total": ...}),
    (ConcurrencyMonitor, "alert_resource_exhaustion"): (False, {"resource": ..., "threshold": ...}),
}


@pytest.mark.parametrize(("owner", "method"), METHODS, ids=[f"{owner.__name__}.{name}" for owner, name in METHODS])
def test_a_method_is_called_as_the_rfc_writes_it(owner, method):
    """By position or by keyword; what it takes beyond that has a default and is given by keyword."""
    is_coroutine, given = METHODS[owner, method]
    function = getattr(owner, method)
    _, *parameters = inspect.signature(function).parameters.values()
    positional = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    others = [each for each in parameters if each not in positional]

    assert inspect.iscoroutinefunction(function) is is_coroutine
    assert {each.name: ... if each.default is each.empty else each.default for each in positional} == given
    assert [each.name for each in positional] == list(given)
    assert all(each.kind is each.KEYWORD_ONLY and each.default is not each.empty for each in others)


def test_a_manager_has_the_attributes_of_the_rfc():
    """Made from a configuration alone."""
    manager = ConcurrencyManager(ConcurrencyConfig())

    assert all(hasattr(manager, each) for each in ("semaphores", "connection_pools", "rate_limiters"))
    assert isinstance(manager.metrics, ConcurrencyMetrics)


@pytest.mark.parametrize(
    "name", sorted({owner.__name__ for owner, _ in METHODS} | {method for _, method in METHODS} | {"ConcurrencyConfig"})
)
def test_a_name_of_the_rfc_is_found_by_who_searches_for_it(name):
    """On the page that says where each of its words went."""
    assert name in PAGE
