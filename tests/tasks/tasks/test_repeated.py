"""Services and periodic jobs, in virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from typing import Any

import pytest
from penstock_limits import ConfigurationError
from penstock_limits.testing import recorded, run_in_virtual_time
from penstock_tasks import RestartPolicy, TaskManager

from tests.tasks.tasks.helpers import reported

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def test_a_service_that_fails_is_started_again_later_and_later() -> None:
    """Each failure is reported once; the waits are random below a bound that doubles."""

    async def main() -> None:
        loop, starts = asyncio.get_running_loop(), []

        async def serve() -> None:
            starts.append(loop.time())
            if len(starts) <= 5:
                raise ConnectionError
            await asyncio.Event().wait()

        with reported() as errors, recorded() as events:
            async with TaskManager(drain_timeout=0) as tasks:
                service = tasks.service(serve, name="feed", restart=RestartPolicy(base=1, cap=4))
                await asyncio.sleep(100)
                assert (service.state, service.runs, service.failures, service.running) == ("running", 6, 5, True)
                assert (tasks.statistics().services, tasks.statistics().restarts) == (1, 5)
        waits = [after - before for before, after in itertools.pairwise(starts)]
        assert all(wait <= bound for wait, bound in zip(waits, [1, 2, 4, 4, 4], strict=True)), waits
        assert len(set(waits)) == 5
        assert len(errors) == 5
        assert [each.name for each in events].count("service.restarted") == 5
        assert service.state == "stopped"

    run_in_virtual_time(main)


def test_a_service_whose_restarts_are_used_up_gives_up() -> None:
    """The event says so; the manager goes on."""

    async def main() -> None:
        async def serve() -> None:
            raise ConnectionError

        with reported() as errors, recorded() as events:
            async with TaskManager() as tasks:
                service = tasks.service(serve, restart=RestartPolicy(max_restarts=3, within=3600))
                await asyncio.sleep(1000)
                assert (service.state, service.runs) == ("gave up", 4)
                assert repr(service).endswith("gave up: started 4 times, 4 failed>")
        assert len(errors) == 4
        assert [each.name for each in events].count("service.gave_up") == 1

    run_in_virtual_time(main)


def test_restarts_of_long_ago_are_forgotten() -> None:
    """A service that fails once an hour never gives up, and waits little."""

    async def main() -> None:
        async def serve() -> None:
            await asyncio.sleep(3600)
            raise ConnectionError

        with reported():
            async with TaskManager(drain_timeout=0) as tasks:
                service = tasks.service(serve, restart=RestartPolicy(max_restarts=1, within=60, base=1))
                await asyncio.sleep(3601 * 50)
                assert (service.state, service.runs) == ("running", 51)

    run_in_virtual_time(main)


def test_giving_up_ends_a_manager_that_asks_for_it() -> None:
    """The failures before that do not."""

    async def main() -> None:
        async def serve() -> None:
            raise ConnectionError

        with reported() as errors, pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
            async with TaskManager(on_failure="cancel") as tasks:
                tasks.service(serve, restart=RestartPolicy(max_restarts=3))
                await asyncio.Event().wait()
        assert caught.group_contains(ConnectionError)
        assert len(caught.value.exceptions) == 1
        assert len(errors) == 3

    run_in_virtual_time(main)


@pytest.mark.parametrize(("on_return", "runs"), [(False, 1), (True, 11)])
def test_a_service_that_returns_has_ended_unless_it_is_to_go_on(on_return: bool, runs: int) -> None:
    """Its policy says which."""

    async def main() -> None:
        async with TaskManager() as tasks:
            policy = RestartPolicy(on_return=on_return, max_restarts=10, within=1e6)
            service = tasks.service(asyncio.sleep, 1, restart=policy)
            await asyncio.sleep(1000)
            assert (service.runs, service.running, service.task) == (runs, False, None)

    run_in_virtual_time(main)


def test_services_outlive_the_work_that_may_need_them() -> None:
    """They are cancelled when the other tasks have ended."""

    async def main() -> None:
        queue: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()

        async def answer() -> None:
            while True:
                question = await queue.get()
                await asyncio.sleep(1)
                question.set_result("answered")

        async def ask() -> str:
            future = asyncio.get_running_loop().create_future()
            await queue.put(future)
            return await future

        async with TaskManager(drain_timeout=60) as tasks:
            service = tasks.service(answer)
            asked = [tasks.start_soon(ask) for _ in range(5)]
        assert [each.result() for each in asked] == ["answered"] * 5
        assert service.state == "stopped"
        assert tasks.report is not None
        assert round(tasks.report.seconds) == 5

    run_in_virtual_time(main)


def test_a_service_is_stopped_between_two_runs_and_in_one() -> None:
    """No run is left, no timer either."""

    async def main() -> None:
        async def serve() -> None:
            raise ConnectionError

        with reported():
            async with TaskManager() as tasks:
                waiting = tasks.service(serve, restart=RestartPolicy(base=1000, cap=1000))
                running = tasks.service(asyncio.Event().wait)
                await asyncio.sleep(0.1)
                assert (waiting.state, running.state) == ("waiting", "running")
                waiting.stop()
                running.stop()
                await asyncio.sleep(5000)
                assert (waiting.state, running.state) == ("stopped", "stopped")
                assert (waiting.runs, running.runs, len(tasks.tree())) == (1, 1, 0)

    run_in_virtual_time(main)


def test_a_periodic_job_does_not_drift() -> None:
    """However long it runs, it is due at multiples of its period."""

    async def main() -> None:
        loop, starts = asyncio.get_running_loop(), []

        async def tick() -> None:
            starts.append(loop.time())
            await asyncio.sleep(0.7)

        begin = loop.time()
        async with TaskManager() as tasks:
            job = tasks.every(1.0, tick)
            await asyncio.sleep(9.5)
        assert starts == [begin + number for number in range(10)]
        assert (job.runs, job.skipped, job.failures) == (10, 0, 0)
        assert len(starts) == 10

    run_in_virtual_time(main)


def test_a_periodic_job_never_overlaps_itself() -> None:
    """What is due while it runs is skipped."""

    async def main() -> None:
        loop, starts, inside = asyncio.get_running_loop(), [], 0

        async def tick() -> None:
            nonlocal inside
            inside += 1
            assert inside == 1
            starts.append(loop.time())
            await asyncio.sleep(2.5)
            inside -= 1

        async with TaskManager() as tasks:
            job = tasks.every(1.0, tick, delay=5.0)
            await asyncio.sleep(14.5)
        assert starts == [5.0, 8.0, 11.0, 14.0]
        assert job.skipped == 6

    run_in_virtual_time(main)


def test_after_a_stall_there_is_no_burst() -> None:
    """The event loop was blocked for a hundred periods: one late run, then on as before."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        starts = []

        async def tick() -> None:
            starts.append(loop.time())

        async with TaskManager() as tasks:
            job = tasks.every(1.0, tick)
            await asyncio.sleep(1.5)
            loop.jump(100.0)
            await asyncio.sleep(2.0)
        assert starts == [0.0, 1.0, 101.5, 102.0, 103.0]
        assert (job.runs, job.skipped) == (5, 99)

    run_in_virtual_time(main)


def test_a_run_that_fails_is_reported_and_the_next_comes() -> None:
    """Each once."""

    async def main() -> None:
        async def tick() -> None:
            raise ValueError

        with reported() as errors:
            async with TaskManager() as tasks:
                job = tasks.every(10, tick)
                await asyncio.sleep(35)
                assert len(errors) == 4
        assert (job.failures, tasks.statistics().failed) == (4, 4)

    run_in_virtual_time(main)


def test_runs_do_not_see_each_others_context() -> None:
    """Each begins with what there was when the job was made."""

    async def main() -> None:
        seen = []

        async def tick() -> None:
            seen.append(variable.get())
            variable.set(99)

        variable.set(1)
        async with TaskManager() as tasks:
            tasks.every(1, tick)
            variable.set(2)
            await asyncio.sleep(3.5)
        assert seen == [1, 1, 1, 1]

    run_in_virtual_time(main)


def test_a_run_in_flight_ends_at_the_shutdown_and_no_more_comes() -> None:
    """It drains as other work does."""

    async def main() -> None:
        ended = []

        async def tick() -> None:
            await asyncio.sleep(2.5)
            ended.append(asyncio.get_running_loop().time())

        async with TaskManager() as tasks:
            job = tasks.every(1, tick, name="tick")
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
        assert ended == [2.5]
        assert (job.runs, str(job)) == (1, "<PeriodicJob 'tick' every 1 s: 1 runs, 0 skipped>")

    run_in_virtual_time(main)


async def test_wrong_values_are_named() -> None:
    """With what is allowed."""
    tasks = TaskManager()
    with pytest.raises(ConfigurationError, match="periodic job 'tick': seconds = 0; allowed are seconds above 0"):
        tasks.every(0, asyncio.sleep, 0, name="tick")
    with pytest.raises(ConfigurationError, match="max_restarts = -1"):
        RestartPolicy(max_restarts=-1)
    with pytest.raises(ConfigurationError, match="within = 0"):
        RestartPolicy(within=0)
    await tasks.cleanup_tasks()


async def test_restarts_are_counted_of_services_that_have_stopped_too() -> None:
    """A counter never falls; what has stopped is no periodic job any more."""
    failures = iter((True, True, False))

    async def flaky() -> None:
        if next(failures):
            raise ValueError

    async with TaskManager() as tasks:
        with reported():
            service = tasks.service(flaky, restart=RestartPolicy(base=0, cap=0))
            while service.state != "stopped":
                await asyncio.sleep(0)
        job = tasks.every(3600, asyncio.sleep, 0, delay=3600)
        assert (tasks.statistics().restarts, tasks.statistics().periodic) == (2, 1)
        job.stop()
        assert (tasks.statistics().restarts, tasks.statistics().periodic) == (2, 0)


@pytest.mark.parametrize("mode", ["off", "observe", "enforce"])
async def test_in_every_mode_they_end_with_the_block(mode: str) -> None:
    """Nobody else would: what the manager has started by itself does not outlive it."""
    async with TaskManager(mode=mode) as tasks:
        job = tasks.every(0.001, asyncio.sleep, 0)
        service = tasks.service(asyncio.sleep, 3600)
        await asyncio.sleep(0)
        assert service.task is not None
        run = service.task
    await asyncio.wait([run])
    assert run.cancelled()
    assert service.state == "stopped"
    assert job._timer is None
