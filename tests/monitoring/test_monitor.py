"""What a monitor sees, and that it harms nobody."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import threading
import time
import weakref

import pytest
from penstock_limits import ConcurrencyConfig, ConcurrencyMetrics, ConfigurationError, Limiter, configure
from penstock_limits.testing import recorded
from penstock_monitoring import ConcurrencyMonitor, ResourceReading, Snapshot
from penstock_monitoring._reading.sampler import Rest

from tests.monitoring.helpers import Fake, Numbers, until


def reading(snapshot: Snapshot, name: str) -> ResourceReading:
    (found,) = [each for each in snapshot.resources if each.name == name]
    return found


def quick(**settings: object) -> ConcurrencyMonitor:
    return ConcurrencyMonitor(interval=0.01, window=0.2, **settings)  # type: ignore[arg-type]


def samples(monitor: ConcurrencyMonitor) -> int:
    return monitor.snapshot().process.samples


def test_a_snapshot_shows_every_resource_as_it_is_now() -> None:
    """Without a running monitor, too."""
    limiter = Limiter("api", max_running=3)
    limiter.acquire_nowait()

    seen = reading(ConcurrencyMonitor().snapshot(), "api")

    assert (seen.kind, seen.mode) == ("limiter", "enforce")
    assert (seen.values["running"], seen.values["max_running"], seen.values["acquired"]) == (1, 3, 1)


async def test_the_recent_use_of_a_limit_is_kept() -> None:
    """One point for each sample, at most as many as the window holds."""
    limiter = Limiter("api", max_running=4)
    limiter.acquire_nowait()
    async with quick() as monitor:
        await until(lambda: samples(monitor) > 25)
        (seen,) = [each for each in monitor.snapshot().utilisation if each.name == "api"]

    assert len(seen.points) == 20
    assert {share for _, share in seen.points} == {0.25}
    assert [at for at, _ in seen.points] == sorted(at for at, _ in seen.points)
    assert abs(seen.points[-1][0] - time.time()) < 60


async def test_hold_times_are_estimated_from_what_is_out() -> None:
    """Two permits that are out for a time have been held for twice that time."""
    limiter = Limiter("api", max_running=2)
    limiter.acquire_nowait()
    limiter.acquire_nowait()
    async with quick() as monitor:
        begun = time.monotonic()
        await until(lambda: reading(monitor.snapshot(), "api").values["hold_seconds"])
        seen = reading(monitor.snapshot(), "api").values
        passed = time.monotonic() - begun

    assert 0 < seen["hold_seconds"] <= 2 * (passed + 0.5)
    assert seen["near_limit_seconds"] == pytest.approx(seen["hold_seconds"] / 2)


@pytest.mark.parametrize(("threshold", "near"), [(None, False), (0.5, True)])
async def test_what_is_nearly_used_up_is_for_the_configuration_to_say(threshold: float | None, near: bool) -> None:
    """Or for the monitor."""
    configure(ConcurrencyConfig(alert_threshold_percentage=0.9))
    limiter = Limiter("api", max_running=2)
    limiter.acquire_nowait()
    async with quick(threshold=threshold) as monitor:
        await until(lambda: reading(monitor.snapshot(), "api").values["hold_seconds"])

        assert (reading(monitor.snapshot(), "api").values["near_limit_seconds"] > 0) is near


async def test_the_lag_of_the_loop_is_the_overshoot_of_a_sleep() -> None:
    """A loop that is blocked wakes the monitor late, and that is the worst of the window."""
    async with quick() as monitor:
        await until(lambda: samples(monitor) > 2)
        time.sleep(0.3)
        (stalled,) = monitor.snapshot().loops
        await until(lambda: monitor.snapshot().loops[0].max > 0.2)
        (lag,) = monitor.snapshot().loops

    assert stalled.stalled > 0.2
    assert lag.loop == "main"
    assert lag.p50 <= lag.p99 <= lag.max


def test_a_monitor_watches_several_loops() -> None:
    """Entered in each; the one that is left first does not end the other."""
    monitor = quick()
    entered, leave = threading.Event(), threading.Event()

    async def other() -> None:
        async with monitor:
            entered.set()
            await until(leave.is_set)

    thread = threading.Thread(target=lambda: asyncio.run(other()))

    async def main() -> None:
        async with monitor:
            thread.start()
            await until(entered.is_set)
            await until(lambda: [each.loop for each in monitor.snapshot().loops] == ["loop-2", "main"])
            leave.set()
            await until(lambda: [each.loop for each in monitor.snapshot().loops] == ["main"])
            before = samples(monitor)
            await until(lambda: samples(monitor) > before)

    asyncio.run(main())
    thread.join()

    assert monitor.snapshot().loops == ()


async def test_a_monitor_is_entered_once_in_a_loop() -> None:
    """The second time is a mistake, and changes nothing."""
    async with quick() as monitor:
        with pytest.raises(RuntimeError, match="already"):
            await monitor.__aenter__()
        await until(lambda: len(monitor.snapshot().loops) == 1)


async def test_leaving_leaves_nothing_behind() -> None:
    """No task, and it can be entered again."""
    monitor = quick()
    for _ in range(3):
        before = asyncio.all_tasks()
        async with monitor:
            assert len(asyncio.all_tasks() - before) == 1
        assert asyncio.all_tasks() == before


async def test_a_block_that_is_cancelled_leaves_nothing_behind() -> None:
    """Even while it is being left."""
    before = asyncio.all_tasks()

    async def watch() -> None:
        async with quick():
            await asyncio.Event().wait()

    watching = asyncio.ensure_future(watch())
    await until(lambda: len(asyncio.all_tasks() - before) == 2)
    watching.cancel()
    await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait([watching])

    await until(lambda: asyncio.all_tasks() == before)


def test_a_loop_that_ends_with_the_monitor_entered_ends_its_task() -> None:
    """As `asyncio.run` does with every task; another loop may enter."""
    monitor = quick()

    asyncio.run(monitor.__aenter__())
    asyncio.run(monitor.__aenter__())

    assert monitor.snapshot().loops == ()


async def test_a_resource_that_fails_is_told_of_once_and_hides_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """And not what it said: that may be anything."""
    limiter = Limiter("healthy", max_running=1)
    with Fake("pool", "broken", ValueError("password=hunter2")) as broken:
        async with quick() as monitor:
            await until(lambda: broken.asked > 3)
            seen = monitor.snapshot()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "the statistics of a Fake cannot be read: ValueError"
    ]
    assert seen.process.unreadable == 1
    assert limiter.name in [each.name for each in seen.resources]


async def test_kinds_and_fields_that_are_unknown_are_shown_as_they_are() -> None:
    """Another package may come with another kind, or statistics that are no dataclass."""
    with Fake("reactor", "core", {"heat": 3, "rods": {"in": 4}, "other": object()}), Fake("pool", "odd", 7):
        async with quick() as monitor:
            await until(lambda: samples(monitor) > 1)
            seen = monitor.snapshot()

    assert reading(seen, "core").values == {"heat": 3, "rods.in": 4}
    assert reading(seen, "odd").values == {}


async def test_resources_of_one_name_are_one_in_the_recent_use() -> None:
    """Two pools of one name in two loops use what both may use."""
    with Fake("pool", "db", Numbers(running=1)), Fake("pool", "db", Numbers(running=4)):
        async with quick() as monitor:
            await until(lambda: samples(monitor) > 1)
            (seen,) = [each for each in monitor.snapshot().utilisation if each.name == "db"]

    assert seen.points[-1][1] == 0.625


async def test_what_is_gone_is_forgotten_after_the_window() -> None:
    """What a monitor keeps does not grow with what comes and goes."""
    async with quick() as monitor:
        with Fake("pool", "gone", Numbers()):
            await until(lambda: [each for each in monitor.snapshot().utilisation if each.name == "gone"])
        await until(lambda: not [each for each in monitor.snapshot().utilisation if each.name == "gone"])


async def test_more_resources_than_can_be_read_at_once_are_shown_as_sampled() -> None:
    """A snapshot in an event loop does not read them; one in a thread does."""
    limiters = [Limiter(f"many-{number}", max_running=1) for number in range(150)]
    async with ConcurrencyMonitor(interval=60, window=60) as monitor:
        limiters[0].acquire_nowait()

        sampled = reading(monitor.snapshot(), "many-0")
        read = reading(await asyncio.to_thread(monitor.snapshot), "many-0")

    assert (sampled.values["running"], read.values["running"]) == (0, 1)


async def test_the_monitor_keeps_nothing_of_its_callers_context_alive() -> None:
    """A request's context variables end with the request."""

    class Prompt:
        pass

    variable: contextvars.ContextVar[Prompt] = contextvars.ContextVar("prompt")
    seen = []

    async def enter(monitor: ConcurrencyMonitor) -> None:
        prompt = Prompt()
        seen.append(weakref.ref(prompt))
        variable.set(prompt)
        await monitor.__aenter__()

    monitor = quick()
    await asyncio.get_running_loop().create_task(enter(monitor), context=contextvars.copy_context())
    await until(lambda: gc.collect() >= 0 and seen[0]() is None)  # the loop itself forgets it in its next turn

    await monitor.__aexit__(None, None, None)


async def test_what_reads_all_resources_is_not_read_itself() -> None:
    """The RFC's ConcurrencyMetrics would read everything twice over, at every sample."""
    metrics = ConcurrencyMetrics()

    assert "metrics" not in {each.kind for each in ConcurrencyMonitor().snapshot().resources}
    assert metrics.enabled


def test_a_forked_child_may_enter_the_monitor_that_its_parent_has_entered() -> None:
    """It samples its own event loop, whatever its parent was doing."""
    monitor = quick()

    async def watch() -> bytes:
        async with monitor:
            await until(lambda: samples(monitor) > 3)
            return ",".join(each.loop for each in monitor.snapshot().loops).encode()

    async def parent() -> tuple[int, int]:
        async with monitor:
            monitor._sampler._lock.acquire()
            monitor._sampler._taker = asyncio.get_running_loop()
            child = os.fork()
            if child == 0:  # pragma: no cover - in the child
                asyncio.events._set_running_loop(None)
                with contextlib.suppress(BaseException):
                    os.write(writing, asyncio.run(watch()))
                os._exit(0)
            monitor._sampler._taker = None
            monitor._sampler._lock.release()
            return os.waitpid(child, 0)

    reading, writing = os.pipe()
    asyncio.run(parent())
    os.close(writing)

    assert os.read(reading, 100) == b"main"
    os.close(reading)


def test_what_is_no_resource_can_be_tracked() -> None:
    """By the RFC's names."""
    monitor = ConcurrencyMonitor()
    monitor.track_semaphore_usage("legacy", 3, 5)
    monitor.track_connection_pool("old-db", 2, 10)

    seen = monitor.snapshot()

    assert reading(seen, "legacy").values == {"running": 3, "max_running": 5}
    assert reading(seen, "old-db").values == {"running": 2, "max_running": 10, "idle": 8}


def test_what_is_tracked_by_hand_and_is_a_resource_counts_once() -> None:
    """The resource knows better."""
    limiter = Limiter("api", max_running=4)
    monitor = ConcurrencyMonitor()
    monitor.track_semaphore_usage("api", 3, 5)

    assert reading(monitor.snapshot(), limiter.name).values["max_running"] == 4


async def test_exhaustion_is_told_once_and_so_is_its_end() -> None:
    """By events; a snapshot lists it as long as it lasts."""
    limiter = Limiter("api", max_running=2)
    monitor = quick()
    monitor.alert_resource_exhaustion("api", 0.5)
    with recorded() as events:
        async with monitor:
            assert monitor.snapshot().alerts == ()
            limiter.acquire_nowait()
            await until(lambda: monitor.snapshot().alerts)
            (alert,) = monitor.snapshot().alerts
            number = samples(monitor)
            await until(lambda: samples(monitor) > number + 3)
            limiter.release()
            await until(lambda: monitor.snapshot().alerts[0]["state"] == "resolved")
            await until(lambda: len(events) == 2)

    assert (alert["resource"], alert["state"], alert["value"], alert["limit"]) == ("api", "active", 0.5, 0.5)
    assert [event.name for event in events] == ["alert.active", "alert.resolved"]


@pytest.mark.parametrize(
    "settings",
    [{"interval": 0}, {"interval": float("nan")}, {"window": 0.1}, {"threshold": 0}, {"threshold": 1.1}],
)
def test_wrong_settings_are_refused(settings: dict[str, float]) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match="allowed are"):
        ConcurrencyMonitor(**settings)  # type: ignore[arg-type]


def test_a_wrong_threshold_of_a_resource_is_refused() -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match="allowed are"):
        ConcurrencyMonitor().alert_resource_exhaustion("api", 80)


# --- leaving, and what nobody watched


async def test_a_leaving_that_is_cancelled_closes_the_page_all_the_same() -> None:
    """Here while it waits for a hook; the port must be free for whoever comes next."""
    free = threading.Event()
    limiter = Limiter("full", max_running=1)
    limiter.acquire_nowait()
    monitor = quick(hooks=[lambda _: free.wait(30)], page=0)
    monitor.alert_resource_exhaustion("full", 0.5)
    await monitor.__aenter__()
    (page,) = monitor._servers
    try:
        await until(lambda: monitor.snapshot().alerts)
        leaving = asyncio.ensure_future(monitor.__aexit__(None, None, None))
        await until(lambda: not monitor._servers)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await until(lambda: "closed" in repr(page))
    finally:
        free.set()


async def test_a_shared_folder_that_has_come_to_be_named_meanwhile_does_not_disturb_the_leaving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its task ends; what is shared was decided when the monitor was entered."""
    async with quick():
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/dev/null/no-folder")

    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_loop_that_was_closed_without_leaving_does_not_keep_the_page_open() -> None:
    """The last that leaves is the last of those that are."""
    monitor = quick(page=0)
    forgetful = asyncio.new_event_loop()

    def forget() -> None:
        tasks = asyncio.all_tasks(forgetful)
        for task in tasks:
            task.cancel()
        forgetful.run_until_complete(asyncio.wait(tasks))
        forgetful.close()

    await asyncio.to_thread(forgetful.run_until_complete, monitor.__aenter__())
    async with monitor:
        await asyncio.to_thread(forget)
        (page,) = monitor._servers

    assert "closed" in repr(page)


async def test_the_page_is_served_beside_one_that_was_asked_for() -> None:
    """`page=` is a promise of its own."""
    monitor = quick(page=0)
    with monitor.serve() as other:
        async with monitor:
            assert [page.port == other.port for page in monitor._servers] == [True, False]


async def test_a_time_in_which_nobody_watched_is_not_counted() -> None:
    """Nobody knows what was in use; a counter that jumps by an hour would ring bells."""
    limiter = Limiter("api", max_running=1)
    limiter.acquire_nowait()
    monitor = quick()
    async with monitor:
        await until(lambda: samples(monitor) > 3)
        sampler = monitor._sampler
    sampler._last -= 3600  # an hour ago
    before = reading(monitor.snapshot(), "api").values["hold_seconds"]
    async with monitor:
        await until(lambda: samples(monitor) > 6)
        after = reading(monitor.snapshot(), "api").values["hold_seconds"]

    assert isinstance(before, float)
    assert isinstance(after, float)
    assert before < after < before + 60


async def test_a_monitor_that_has_been_left_shows_what_is_now() -> None:
    """Its last sample is old, however many resources there are."""
    limiters = [Limiter(f"limiter-{number:03}", max_running=2) for number in range(150)]
    async with quick() as monitor:
        await until(lambda: samples(monitor) > 1)
    limiters[0].acquire_nowait()

    assert reading(monitor.snapshot(), "limiter-000").values["running"] == 1


async def test_an_event_loop_does_not_wait_for_a_large_tree_of_tasks() -> None:
    """It takes more than 5 ms to read; in a thread it is read."""
    asked = []

    class Manager(Fake):
        def tree(self) -> object:
            asked.append(threading.current_thread())
            return self.told

    with Manager("tasks", "few", Numbers(running=60)), Manager("tasks", "many", Numbers(running=60)):
        (few, many) = ConcurrencyMonitor().snapshot().tasks
        assert asked == [threading.current_thread()]
        await asyncio.to_thread(ConcurrencyMonitor().snapshot)

    assert "running" in few
    assert many == {"name": "many", "running": 60, "children": []}
    assert len(asked) == 3


async def test_a_resource_that_is_cancelled_does_not_end_the_sampling() -> None:
    """Such as one that asks a future that was."""

    class Cancelled(Fake):
        def statistics(self) -> object:
            raise asyncio.CancelledError

    with Cancelled("pool", "cancelled", None):
        async with quick() as monitor:
            await until(lambda: samples(monitor) > 3)
            assert monitor.snapshot().process.unreadable == 1


async def test_resources_without_a_name_hide_nobody() -> None:
    """Nor one that fails when it is asked for it."""

    class Nameless(Fake):
        @property
        def name(self) -> str:
            raise RuntimeError("not yet open")

        @name.setter
        def name(self, _: str) -> None:
            pass

    limiter = Limiter("api", max_running=1)
    with Fake("pool", None, Numbers()), Nameless("pool", "", Numbers()):  # type: ignore[arg-type]
        snapshot = ConcurrencyMonitor().snapshot()

    assert reading(snapshot, limiter.name).kind == "limiter"
    assert reading(snapshot, "None").kind == "pool"
    assert snapshot.process.unreadable == 1


async def test_what_is_far_beyond_its_limit_can_be_told() -> None:
    """JSON has no infinity."""
    async with quick() as monitor:
        monitor.track_semaphore_usage("huge", 10**400, 3)
        await until(lambda: samples(monitor) > 3)
        (seen,) = [each for each in monitor.snapshot().utilisation if each.name == "huge"]

    assert {share for _, share in seen.points} == {1000.0}


async def test_a_clock_that_is_set_back_begins_the_history_anew() -> None:
    """Points in the future would hide those of now until it has come."""
    limiter = Limiter("api", max_running=1)
    async with quick() as monitor:
        await until(lambda: samples(monitor) > 3)
        times = monitor._sampler._times
        times.append(times.pop() + 3600)
        await until(lambda: times[-1] < time.time() + 60)
        (seen,) = [each for each in monitor.snapshot().utilisation if each.name == limiter.name]

    assert seen.points
    assert max(at for at, _ in seen.points) < time.time() + 60


@pytest.mark.filterwarnings("ignore:coroutine")
async def test_a_loop_that_was_closed_within_a_sample_does_not_end_the_sampling_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It will never give back what it has taken."""
    monkeypatch.setattr("penstock_monitoring._reading.sampler.SLICE", -1.0)  # it rests after each reading
    kept = [Limiter(f"limiter-{number}", max_running=1) for number in range(20)]
    monitor, closed = quick(), asyncio.new_event_loop()

    def close() -> None:
        while monitor._sampler._taker is not closed:
            closed.call_soon(closed.stop)
            closed.run_forever()
        closed.close()

    async with monitor:
        await asyncio.to_thread(closed.run_until_complete, monitor.__aenter__())
        await asyncio.to_thread(close)
        number = samples(monitor)
        await until(lambda: samples(monitor) > number + 3)

    assert len(kept) == 20


async def test_what_was_held_is_not_known_of_the_time_after_the_last_loop_was_closed() -> None:
    """Without leaving the monitor: nobody samples until it is entered again."""
    monitor, held, closed = quick(), Limiter("held", max_running=2), asyncio.new_event_loop()
    held.acquire_nowait()

    async def enter() -> None:
        await monitor.__aenter__()
        await until(monitor._sampler.lags)

    await asyncio.to_thread(closed.run_until_complete, enter())
    closed.close()

    async with monitor:
        assert monitor._sampler.resumed
        assert monitor._sampler.tracks["limiter", "held"].hold_seconds == 0


async def test_a_snapshot_shows_all_while_another_loop_takes_the_first_sample() -> None:
    """There is nothing that was sampled last, so that it is read now."""
    limiters = [Limiter(f"limiter-{number}", max_running=2) for number in range(150)]
    reading, seen = threading.Event(), threading.Event()
    monitor = ConcurrencyMonitor(interval=60)

    class Slow(Fake):
        def statistics(self) -> Numbers:
            if threading.current_thread() is not threading.main_thread():
                reading.set()
                seen.wait(30)
            return Numbers()

    async def first() -> None:
        async with monitor:
            pass

    with Slow("pool", "slow", None):
        other = asyncio.create_task(asyncio.to_thread(asyncio.run, first()))
        await until(reading.is_set)
        try:
            async with monitor:
                shown = monitor.snapshot().resources
        finally:
            seen.set()
        await other
    assert {each.name for each in limiters} <= {each.name for each in shown}


async def test_a_loop_that_is_blocked_within_a_sample_does_not_end_the_sampling_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another takes over, and the one that is late leaves it at that."""
    monkeypatch.setattr("penstock_monitoring._reading.sampler.SLICE", -1.0)  # it rests after each reading
    monkeypatch.setattr("penstock_monitoring._reading.sampler.STUCK", 0.05)
    kept = [Limiter(f"limiter-{number}", max_running=1) for number in range(20)]
    monitor, blocked, free = quick(), threading.Event(), threading.Event()

    async def block() -> None:
        async with monitor:
            await until(lambda: monitor._sampler._taker is asyncio.get_running_loop())
            blocked.set()
            free.wait(30)
            await until(lambda: monitor._sampler._taker is not asyncio.get_running_loop())

    other = asyncio.create_task(asyncio.to_thread(asyncio.run, block()))
    await until(blocked.is_set)
    async with monitor:
        number = samples(monitor)
        await until(lambda: samples(monitor) > number + 3)
        free.set()
        await other
        number = samples(monitor)
        await until(lambda: samples(monitor) > number + 3)

    assert len(kept) == 20


async def test_of_names_that_are_gone_only_the_latest_have_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that names limits after its users makes new ones all day."""
    monkeypatch.setattr("penstock_monitoring._reading.sampler.GONE", 3)
    monitor = ConcurrencyMonitor(interval=0.01, window=60)
    kept = Limiter("kept", max_running=1)
    for number in range(10):
        limiter = Limiter(f"user-{number}", max_running=1)
        await monitor._sampler._sample(Rest(lambda: True))
        del limiter
        gc.collect()
    await monitor._sampler._sample(Rest(lambda: True))

    seen = {each.name for each in monitor.snapshot().utilisation}
    assert {name for name in seen if name.startswith("user-")} == {"user-7", "user-8", "user-9"}
    assert kept.name in seen
