"""ThreadPoolExecutor: that of concurrent.futures, with an owner."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import weakref
from typing import Any
from unittest import mock

import penstock_tasks
import pytest
from penstock_limits import Mode, resources
from penstock_tasks import ThreadPoolExecutor, stop_event
from penstock_tasks._threads import executor as module


def test_off_makes_the_old_class() -> None:
    """Not even a subclass of it."""
    with ThreadPoolExecutor() as executor:
        assert type(executor) is concurrent.futures.ThreadPoolExecutor


def test_every_mode_makes_what_is_an_executor(any_mode: str) -> None:
    """It maps, names its threads and calls initializers as before."""
    begun: list[str] = []
    with ThreadPoolExecutor(1, "mine", lambda word: begun.append(word), ("ready",)) as executor:
        names = list(executor.map(lambda _: threading.current_thread().name, range(2)))

    assert isinstance(executor, concurrent.futures.ThreadPoolExecutor)
    assert names == ["mine_0", "mine_0"]
    assert begun == ["ready"]


def test_a_subclass_is_itself_in_every_mode(any_mode: str) -> None:
    """With arguments of its own."""

    class Pool(ThreadPoolExecutor):
        def __init__(self, size: int) -> None:
            super().__init__(max_workers=size, thread_name_prefix="pool")

    with Pool(2) as pool:
        assert type(pool) is Pool
        assert pool.submit(pow, 2, 3).result() == 8
        assert pool.statistics().max_running == 2
        assert pool.statistics().mode is Mode(any_mode)


def test_an_initializer_that_is_none_is_refused_as_before(any_mode: str) -> None:
    """Before anything is made."""
    with pytest.raises(TypeError, match="initializer must be a callable"):
        ThreadPoolExecutor(initializer=3)  # type: ignore[arg-type]


def test_enforce_has_workers_that_concurrent_futures_does_not_wait_for(enforce: None) -> None:
    """CPython would, at the exit and without a deadline; observe changes nothing."""
    with ThreadPoolExecutor(2) as executor:
        executor.submit(int).result()
        assert not set(executor._threads) & set(concurrent.futures.thread._threads_queues)


def test_observe_has_the_threads_it_would_have_had(observe: None) -> None:
    """They are no daemons, and hold the exit."""
    with ThreadPoolExecutor(2) as executor:
        assert executor.submit(lambda: threading.current_thread().daemon).result() is False
        assert set(executor._threads) <= set(concurrent.futures.thread._threads_queues)


def test_threads_that_a_call_starts_are_what_they_would_have_been(any_mode: str) -> None:
    """No daemons: a thread is one if the one that starts it is."""
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(lambda: threading.Thread(target=int).daemon).result() is False


def test_the_numbers_in_the_names_of_threads_are_not_used_up(any_mode: str) -> None:
    """What a program writes of its threads stays the same."""
    first = threading.Thread(target=int).name
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()
    numbers = [int(name.partition("-")[2].partition(" ")[0]) for name in (first, threading.Thread(target=int).name)]

    assert numbers[1] == numbers[0] + 1


def test_no_more_threads_are_started_than_there_may_be(enforce: None) -> None:
    """And none where one is idle."""
    with ThreadPoolExecutor(2) as executor:
        gate = threading.Event()
        calls = [executor.submit(gate.wait) for _ in range(5)]
        assert len(executor._threads) == 2
        gate.set()
        concurrent.futures.wait(calls)

    with ThreadPoolExecutor(5) as executor:
        executor.submit(int).result()
        while not executor._idle_semaphore._value:  # type: ignore[attr-defined]
            pass
        executor.submit(int).result()
        assert len(executor._threads) == 1


def test_a_thread_that_cannot_be_started_fails_where_it_was_wanted(enforce: None) -> None:
    """Not in the thread that would have started it."""
    executor = ThreadPoolExecutor(1)
    plain = concurrent.futures.ThreadPoolExecutor
    with (
        mock.patch.object(plain, "_adjust_thread_count", side_effect=RuntimeError("can't start new thread")),
        pytest.raises(RuntimeError, match="can't start new thread"),
    ):
        executor.submit(int)

    assert executor.statistics().submitted == 0


def test_calls_are_counted(enforce: None) -> None:
    """Those that run, those that wait and for how long, those that were cancelled."""
    gate, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait()

    with ThreadPoolExecutor(1, "counted") as executor:
        executor.submit(work)
        begun.wait()
        waiting, cancelled = executor.submit(work), executor.submit(work)
        cancelled.cancel()
        during = executor.statistics()
        gate.set()
        waiting.result()
    after = executor.statistics()

    [shown] = [each for each in resources() if each.name == "counted"]
    assert (shown.kind, shown.statistics()) == ("executor", after)
    assert (during.running, during.queued, during.cancelled, during.peak_queued) == (1, 1, 1, 2)
    assert (after.running, after.queued, after.submitted) == (0, 0, 3)
    assert 0 < after.longest_wait <= after.wait_seconds


def test_a_call_that_is_refused_is_not_counted(enforce: None) -> None:
    """An executor that is shut down takes none."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()

    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(int)
    assert executor.statistics().submitted == 0


def test_a_call_may_have_any_keyword(enforce: None) -> None:
    """Also those that parameters of ours might be called."""

    def function(**keywords: Any) -> dict[str, Any]:
        return keywords

    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(function, self=1, fn=2, function=3).result() == {"self": 1, "fn": 2, "function": 3}


def test_an_executor_that_nobody_has_any_more_is_not_kept(any_mode: str) -> None:
    """Its threads end, as before, also with calls behind it."""
    executor = ThreadPoolExecutor(1)
    last = [executor.submit(int) for _ in range(3)][-1]
    threads = list(executor._threads)
    there = weakref.ref(executor)
    del executor
    last.result()
    gc.collect()
    for thread in threads:
        thread.join(30)

    assert there() is None
    assert not any(thread.is_alive() for thread in threads)


def test_an_executor_is_a_resource_while_it_lives(enforce: None) -> None:
    """Under the name of its threads."""
    with ThreadPoolExecutor(1, "known") as executor:
        assert ("executor", "known") in [(each.kind, each.name) for each in resources()]
        assert executor.submit(int).result() == 0
    del executor
    gc.collect()
    assert ("executor", "known") not in [(each.kind, each.name) for each in resources()]


def test_the_names_of_a_subclass_are_its_own(any_mode: str) -> None:
    """Also those that a resource has: nothing of ours stands in their way."""

    class Pool(ThreadPoolExecutor):
        def __init__(self, name: str, kind: object) -> None:
            self.name, self.kind = name, kind
            super().__init__(1)

    with Pool("mine", None) as pool:
        assert pool.submit(lambda: (pool.name, pool.kind)).result() == ("mine", None)
        resources()


def test_an_executor_may_be_made_without_our_constructor(any_mode: str) -> None:
    """A `__new__` of its own that calls object's works, as with the original; nobody owns it then."""

    class Own(ThreadPoolExecutor):
        def __new__(cls, *args: Any) -> Any:
            return object.__new__(cls)

    with Own(1) as executor:
        assert executor.submit(int).result() == 0


def test_workers_have_their_executor_as_owner(enforce: None) -> None:
    """And the line that made it as theirs."""
    begun, gate = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1, "owner") as executor:
        executor.submit(lambda: (begun.set(), gate.wait()))
        begun.wait()
        (node,) = [each for each in penstock_tasks.threads() if each.name == "owner_0"]
        gate.set()

    assert node.owner == "owner"
    assert not node.daemon
    assert node.created is not None
    assert node.created.path == __file__


def test_shutting_down_does_not_tell_to_stop(enforce: None) -> None:
    """What runs is wanted: `with` waits for it, as before."""
    with ThreadPoolExecutor(1) as executor:
        told = executor.submit(lambda: stop_event().wait(0.05))

    assert told.result() is False


def test_the_executor_of_to_thread_enforces_whatever_the_mode_is_now() -> None:
    """The mode may be turned while a call waits for its turn."""
    with module.enforcing(3, "threads") as executor:
        assert executor.statistics().mode is Mode.ENFORCE
        assert executor.statistics().max_running == 3
