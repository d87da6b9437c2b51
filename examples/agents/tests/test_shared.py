import asyncio
import logging

import penstock_limits
import pytest

from agents.rag.workflow import RagDisabledError
from agents.shared.concurrency.manager import ConcurrencyManager
from agents.shared.config.concurrency_config import ConcurrencyConfig, load_config
from agents.shared.database.pool_manager import DatabasePoolManager
from agents.shared.monitoring.concurrency_monitor import ConcurrencyMonitor
from agents.shared.tasks.task_manager import TaskManager


def test_the_configuration_has_the_defaults_of_the_rfc():
    assert load_config() == ConcurrencyConfig()


def test_the_manager_gives_the_limiter_of_a_name_not_held():
    async def ask():
        manager = ConcurrencyManager(ConcurrencyConfig())
        known = await manager.acquire_semaphore("api_call")
        own = await manager.acquire_semaphore("reports", limit=3)
        assert await manager.acquire_semaphore("reports") is own
        return known, own, manager.metrics.snapshot()

    known, own, metrics = asyncio.run(ask())
    assert known is penstock_limits.limiter("api_call")
    assert (known.max_running, own.max_running) == (20, 3)
    assert metrics["reports"].running == 0


def test_the_manager_without_pools_says_what_to_pass():
    async def ask():
        await ConcurrencyManager(ConcurrencyConfig()).get_connection_pool("rag")

    with pytest.raises(RuntimeError, match="pools=DatabasePoolManager"):
        asyncio.run(ask())


class FakePool:
    def __init__(self, dsn, **options):
        self.dsn, self.options, self.lent, self.open = dsn, options, 0, True

    async def acquire(self, timeout):
        self.lent += 1
        return object()

    async def release(self, connection):
        self.lent -= 1

    async def close(self):
        self.open = False


async def create_fake_pool(dsn, **options):
    return FakePool(dsn, **options)


def test_pools_are_opened_once_lent_and_closed():
    async def use():
        pools = DatabasePoolManager(ConcurrencyConfig(), {"rag": "postgresql://x"}, create_pool=create_fake_pool)
        await pools.initialize_pools()
        await pools.initialize_pools()
        pool = await ConcurrencyManager(pools.config, pools=pools).get_connection_pool("rag")
        connection = await pools.get_connection("rag")
        lent = pool.lent
        await pools.release_connection("rag", connection)
        await pools.close()
        return pool, lent

    pool, lent = asyncio.run(use())
    assert pool.options == {"min_size": 5, "max_size": 20, "command_timeout": 10.0}
    assert (lent, pool.lent, pool.open) == (1, 0, False)


def test_pools_of_the_database_are_switched_off():
    async def use():
        await DatabasePoolManager(ConcurrencyConfig(), {"rag": "postgresql://x"}).initialize_pools()

    with pytest.raises(RagDisabledError):
        asyncio.run(use())


def test_tasks_have_a_result_or_are_cancelled():
    async def double(number):
        await asyncio.sleep(0)
        return 2 * number

    async def use():
        manager = TaskManager()
        done = await manager.create_limited_task(double(4), "default")
        endless = await manager.create_limited_task(asyncio.Event().wait(), "default")
        unstarted = await manager.create_limited_task(double(1), "default")
        result = await done
        await manager.create_limited_task(double(1), "default")
        await manager.cleanup_tasks()
        return result, endless.cancelled(), unstarted.done(), manager.tasks

    assert asyncio.run(use()) == (8, True, True, set())


def test_a_task_may_take_only_so_long():
    async def use():
        await TaskManager().timeout_wrapper(asyncio.Event().wait(), timeout=0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(use())


def test_the_monitor_reads_every_limiter_and_warns(caplog):
    async def use():
        limiter = penstock_limits.Limiter("busy", max_running=4)
        async with limiter, limiter, limiter:
            monitor = ConcurrencyMonitor()
            usage = monitor.collect()["busy"]
            with caplog.at_level(logging.WARNING):
                return usage.share, monitor.alert_resource_exhaustion("busy", 0.7)

    assert asyncio.run(use()) == (0.75, True)
    assert "busy: 3 of 4 in use, 75 %" in caplog.text
    assert ConcurrencyMonitor().alert_resource_exhaustion("unknown", 0.8) is False
