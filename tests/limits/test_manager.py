"""The RFC's ConcurrencyManager, ConcurrencyConfig and ConcurrencyMetrics: every name, every field."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from penstock_limits import (
    CallTimeoutError,
    ConcurrencyConfig,
    ConcurrencyManager,
    ConcurrencyMetrics,
    ConfigurationError,
    LimitSettings,
    PolicySettings,
    UnknownPolicyError,
    enter_resource,
    gather,
    leave_resource,
    resources,
    set_mode_source,
)
from penstock_limits.testing import run_in_virtual_time

from tests.limits.gauge import Gauge
from tests.limits.sources import EVERYTHING, Source


@dataclasses.dataclass(frozen=True)
class Running:
    running: object
    max_running: object


@pytest.fixture(autouse=True)
def enforced() -> None:
    set_mode_source(Source("enforce", *EVERYTHING))


class LentPools:
    """Pools that lend words."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.sizes = {"rag": (5, 20)}  # what a pool has unless its settings say otherwise

    def resize(self, name: str, *, min_size: int, max_size: int) -> None:
        self.sizes[name] = (min_size, max_size)

    def open_pools(self) -> dict[str, str]:
        return {name: self.pool(name) for name in self.sizes}

    def pool(self, name: str) -> str:
        return f"pool {name}"

    @asynccontextmanager
    async def connection(self, name: str, *, timeout: float) -> AsyncIterator[str]:
        self.asked.append((name, timeout))
        yield f"connection of {name}"


class LentClients:
    """Clients that are words."""

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[str]:
        yield f"client of {name}"


async def test_a_semaphore_is_the_limit_of_its_name() -> None:
    """The one that `limit="api_call"` means elsewhere; not held."""
    manager, gauge = ConcurrencyManager(ConcurrencyConfig(api_call_semaphore_limit=2)), Gauge()

    semaphore = await manager.acquire_semaphore("api_call")
    assert (semaphore.max_running, semaphore.statistics().running) == (2, 0)

    async with semaphore:
        await gather(*(gauge.visit() for _ in range(5)), limit="api_call")
    assert gauge.peak == 1
    assert manager.semaphores["api_call"] is semaphore


async def test_a_semaphore_that_nobody_configured_is_created() -> None:
    """With the limit that is asked for; the first one counts."""
    manager = ConcurrencyManager()

    created = await manager.acquire_semaphore("created here", 7)

    assert created.max_running == 7
    assert await manager.acquire_semaphore("created here") is created


async def test_the_rate_of_a_provider_is_waited_for() -> None:
    """As many requests a minute as the configuration says."""
    manager = ConcurrencyManager(ConcurrencyConfig(openai_requests_per_minute=2))
    for _ in range(2):
        await manager.rate_limit("openai", "chat")
    waiting = asyncio.create_task(manager.rate_limit("openai", "chat"))
    await asyncio.sleep(0)
    assert manager.rate_limiters["openai"].statistics().queued == 1
    waiting.cancel()


async def test_an_operation_may_have_a_rate_of_its_own() -> None:
    """As the policy `provider.operation`."""
    config = ConcurrencyConfig(policies={"openai.embeddings": PolicySettings(requests_per_minute=3_000)})
    manager = ConcurrencyManager(config)

    await manager.rate_limit("openai", "embeddings")

    assert manager.rate_limiters["openai.embeddings"].statistics().acquired == 1


async def test_a_policy_without_a_rate_says_so() -> None:
    """And what to add."""
    with pytest.raises(ConfigurationError, match="policy 'api_call' has no rate to wait for: add requests_per_minute"):
        await ConcurrencyManager().rate_limit("api_call", "chat")


async def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """Whatever the mode."""
    set_mode_source(None)
    manager = ConcurrencyManager()
    known = "no policy named 'opnai'; known are: anthropic, api_call, default, openai"

    with pytest.raises(UnknownPolicyError, match=known):
        manager.slot("opnai")
    with pytest.raises(UnknownPolicyError, match=known):
        await manager.rate_limit("opnai", "chat")


async def test_a_slot_is_guarded_by_the_policy_of_its_name() -> None:
    """The limit, the rate and the client."""
    manager = ConcurrencyManager(clients=LentClients())

    async with manager.slot("openai", tokens=1_200) as slot:
        assert slot.client == "client of openai"
        assert manager.semaphores["api_call"].statistics().running == 1
        acquired = manager.rate_limiters["openai"].statistics().acquired
        async with manager.slot("openai"):
            assert manager.rate_limiters["openai"].statistics().acquired == acquired + 1


async def test_connections_come_from_the_pools() -> None:
    """Waited for as long as a database operation may take."""
    pools = LentPools()
    manager = ConcurrencyManager(ConcurrencyConfig(database_operation_timeout=7.0), pools=pools)

    assert await manager.get_connection_pool("rag") == "pool rag"
    async with manager.connection("rag") as connection:
        assert connection == "connection of rag"
    assert pools.asked == [("rag", 7.0)]


async def test_the_pools_that_are_open_can_be_seen() -> None:
    """By name, to read; a manager without pools has none."""
    seen = ConcurrencyManager(pools=LentPools()).connection_pools

    assert dict(seen) == {"rag": "pool rag"}
    with pytest.raises(TypeError):
        seen["rag"] = "another"  # type: ignore[index]
    assert dict(ConcurrencyManager().connection_pools) == {}


async def test_sizes_of_a_pools_own_stay_where_the_configuration_says_nothing() -> None:
    """A default is no wish: a pool of at most 3 does not become one of 20 when it is given to a manager."""
    pools = LentPools()
    pools.sizes["rag"] = (1, 3)

    manager = ConcurrencyManager(pools=pools)
    assert pools.sizes["rag"] == (1, 3)

    manager.reload(ConcurrencyConfig(api_call_semaphore_limit=3))
    assert pools.sizes["rag"] == (1, 3)

    manager.reload(ConcurrencyConfig(rag_pool_max_size=7))
    assert pools.sizes["rag"] == (5, 7)

    manager.reload(ConcurrencyConfig())
    assert pools.sizes["rag"] == (5, 20)


async def test_sizes_that_could_not_be_given_to_a_pool_are_given_to_it_again() -> None:
    """By the next attempt, with the same configuration."""

    class Fails(LentPools):
        fails = True

        def resize(self, name: str, *, min_size: int, max_size: int) -> None:
            if self.fails:
                raise OSError("not now")
            super().resize(name, min_size=min_size, max_size=max_size)

    pools = Fails()
    manager, config = ConcurrencyManager(pools=pools), ConcurrencyConfig(rag_pool_max_size=7)
    with pytest.raises(OSError, match="not now"):
        manager.reload(config)
    pools.fails = False
    manager.reload(config)

    assert pools.sizes["rag"] == (5, 7)
    assert manager.config is config


async def test_a_manager_without_pools_says_what_to_install() -> None:
    """And what to pass."""
    with pytest.raises(ConfigurationError, match="install penstock-pooling, and make it with ConcurrencyManager"):
        await ConcurrencyManager().get_connection_pool("rag")


async def test_a_reload_resizes_what_is_in_use() -> None:
    """The same objects, with work in flight."""
    manager = ConcurrencyManager(ConcurrencyConfig(openai_requests_per_minute=60))
    async with manager.slot("openai"):
        limiter, rate = manager.semaphores["api_call"], manager.rate_limiters["openai"]
        manager.reload(ConcurrencyConfig(api_call_semaphore_limit=3, openai_requests_per_minute=7))

    assert manager.semaphores["api_call"] is limiter
    assert manager.rate_limiters["openai"] is rate
    assert limiter.max_running == 3
    assert rate.statistics().dimensions["requests"].amount == 7


CHANGED: dict[str, Any] = {
    "default_semaphore_limit": 11,
    "stress_test_semaphore_limit": 6,
    "api_call_semaphore_limit": 21,
    "rag_pool_min_size": 6,
    "rag_pool_max_size": 21,
    "openai_requests_per_minute": 61,
    "anthropic_requests_per_minute": 51,
    "default_operation_timeout": 3.0,
    "llm_call_timeout": 4.0,
    "database_operation_timeout": 5.0,
    "enable_metrics": False,
    "alert_threshold_percentage": 0.5,
    "limits": {"embeddings": LimitSettings(8)},
    "policies": {"research": PolicySettings(total_timeout=1.0)},
}


async def seen(manager: ConcurrencyManager) -> dict[str, Any]:
    """What each field of the configuration does, read where it acts."""
    pools = LentPools()
    manager = ConcurrencyManager(manager.config, pools=pools)
    async with manager.connection("rag"):
        pass
    for provider in ("openai", "anthropic"):
        async with manager.slot(provider):
            pass
    limits = {name: (await manager.acquire_semaphore(name)).max_running for name in manager.config.named_limits()}
    policies = manager.config.named_policies()
    return {
        "default_semaphore_limit": limits["default"],
        "stress_test_semaphore_limit": limits["stress_test"],
        "api_call_semaphore_limit": limits["api_call"],
        "rag_pool_min_size": pools.sizes["rag"][0],
        "rag_pool_max_size": pools.sizes["rag"][1],
        "openai_requests_per_minute": manager.rate_limiters["openai"].statistics().dimensions["requests"].amount,
        "anthropic_requests_per_minute": manager.rate_limiters["anthropic"].statistics().dimensions["requests"].amount,
        "default_operation_timeout": policies["default"].total_timeout,
        "llm_call_timeout": policies["openai"].total_timeout,
        "database_operation_timeout": pools.asked[0][1],
        "enable_metrics": any(resource.kind == "metrics" for resource in resources()),
        "alert_threshold_percentage": manager.metrics.alert_threshold,
        "limits": limits.get("embeddings"),
        "policies": policies["research"].total_timeout if "research" in policies else None,
    }


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(ConcurrencyConfig)])
async def test_every_field_acts(field: str) -> None:
    """Change it, and what it is for changes, and nothing else."""
    before = await seen(ConcurrencyManager())

    after = await seen(ConcurrencyManager(dataclasses.replace(ConcurrencyConfig(), **{field: CHANGED[field]})))

    assert {each for each in before if before[each] != after[each]} == {field}


@pytest.mark.parametrize(("name", "field"), [("default", "default_operation_timeout"), ("openai", "llm_call_timeout")])
def test_a_timeout_ends_a_slot(name: str, field: str) -> None:
    """The default of its kind."""

    async def main() -> float:
        manager = ConcurrencyManager(dataclasses.replace(ConcurrencyConfig(), **{field: 2.0}))
        with pytest.raises(CallTimeoutError, match="after 2 s: that is its total_timeout"):
            async with manager.slot(name):
                await asyncio.sleep(10)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == pytest.approx(2.0)


async def test_metrics_are_read_when_somebody_asks() -> None:
    """The plain counters of every resource, by kind and name."""
    manager = ConcurrencyManager()
    semaphore = await manager.acquire_semaphore("stress_test")

    async with semaphore, semaphore, semaphore, semaphore:
        assert manager.metrics.snapshot()["limiter"]["stress_test"]["running"] == 4
        assert "stress_test" in manager.metrics.saturated()

    assert "stress_test" not in manager.metrics.saturated()


async def test_metrics_that_are_not_enabled_read_nothing() -> None:
    """And are no resource that a collector would find."""
    metrics = ConcurrencyMetrics(enabled=False)

    assert (metrics.snapshot(), metrics.saturated()) == ({}, ())
    assert metrics not in resources()


@pytest.mark.parametrize("told", [None, {"running": 1}, Running("one", "two"), Running(1, 0)])
async def test_statistics_of_another_sort_hide_no_other(told: object) -> None:
    """What is no dataclass cannot be shown; a limit that is no number is not used up."""

    class Other:
        kind, name = "pool", "other"

        def statistics(self) -> object:
            return told

    other = Other()
    enter_resource(other)
    manager = ConcurrencyManager(ConcurrencyConfig(stress_test_semaphore_limit=1))
    async with await manager.acquire_semaphore("stress_test"):
        seen, saturated = manager.metrics.snapshot(), manager.metrics.saturated()
    leave_resource(other)

    assert seen["limiter"]["stress_test"]["running"] == 1
    assert ("other" in seen.get("pool", {})) == isinstance(told, Running)
    assert "stress_test" in saturated
    assert "other" not in saturated


async def test_a_resource_that_fails_when_it_is_asked_for_its_kind_hides_no_other() -> None:
    """It cannot be read, as one whose statistics fail."""

    class Odd:
        name = "odd"

        @property
        def kind(self) -> str:
            raise RuntimeError("none")

        def statistics(self) -> Running:
            return Running(1, 1)

    odd = Odd()
    enter_resource(odd)
    metrics = ConcurrencyManager().metrics
    semaphore = await ConcurrencyManager().acquire_semaphore("stress_test")
    seen, saturated = metrics.snapshot(), metrics.saturated()
    leave_resource(odd)

    assert semaphore.name in seen["limiter"]
    assert "odd" not in saturated


async def test_a_resource_that_cannot_be_read_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is left out and logged once, without what its error says, which may be a secret."""

    class Broken:
        kind, name = "pool", "broken"

        def statistics(self) -> object:
            raise RuntimeError("postgresql://agents:hunter2@db/agents")

    broken = Broken()
    enter_resource(broken)
    manager = ConcurrencyManager()
    semaphore = await manager.acquire_semaphore("stress_test")
    async with semaphore:
        for _ in range(2):
            assert manager.metrics.snapshot()["limiter"]["stress_test"]["running"] == 1
            assert "broken" not in manager.metrics.snapshot().get("pool", {})
            assert manager.metrics.statistics().saturated == len(manager.metrics.saturated())
    leave_resource(broken)

    told = [each.getMessage() for each in caplog.records if "statistics" in each.getMessage()]
    assert told == ["the statistics of a Broken cannot be read: RuntimeError"]


@dataclasses.dataclass(frozen=True)
class Uncopied:
    """Statistics that are no plain values."""

    lock: object = dataclasses.field(default_factory=threading.Lock)


@pytest.mark.parametrize("told", [Uncopied(), Uncopied])
async def test_a_resource_whose_statistics_are_no_plain_values_hides_no_other(told: object) -> None:
    """They cannot be copied, or are a class; a snapshot leaves it out."""

    class Other:
        kind, name = "pool", "other"

        def statistics(self) -> object:
            return told

    other = Other()
    enter_resource(other)
    semaphore = await ConcurrencyManager().acquire_semaphore("stress_test")
    seen = ConcurrencyManager().metrics.snapshot()
    leave_resource(other)

    assert semaphore.name in seen["limiter"]
    assert "other" not in seen.get("pool", {})
