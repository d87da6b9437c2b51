"""Thread and Timer: threading's, with an owner."""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
import weakref
from typing import Any
from unittest import mock

import penstock_tasks
import pytest
from penstock_limits import Mode, resources
from penstock_limits.introspection import call_site
from penstock_limits.testing import switched_off
from penstock_tasks import Thread, ThreadsStatistics, Timer, stop_event
from penstock_tasks._threads.ownership import Ownership, Stop, ownership_of, with_stop


def nothing() -> None:
    pass


def statistics() -> ThreadsStatistics:
    (found,) = [each for each in resources() if each.kind == "threads"]
    result = found.statistics()
    assert isinstance(result, ThreadsStatistics)
    return result


def test_off_makes_the_old_classes() -> None:
    """Not even a subclass of them."""
    assert type(Thread(target=nothing)) is threading.Thread
    assert type(Timer(1, nothing)) is threading.Timer


def test_every_mode_makes_what_is_a_thread(any_mode: str) -> None:
    """`isinstance` says so."""
    assert isinstance(Thread(target=nothing), threading.Thread)
    assert isinstance(Timer(1, nothing), threading.Timer)


def test_a_thread_shows_as_the_old_one_does(any_mode: str) -> None:
    """Its number goes on from those that threading has given, and its text is the same."""
    with mock.patch.object(threading, "_counter", itertools.count(70).__next__):
        old, new = threading.Thread(target=nothing), Thread(target=nothing)

    assert old.name == "Thread-70 (nothing)"
    assert new.name == "Thread-71 (nothing)"
    assert repr(new) == repr(old).replace("70", "71")


def test_a_subclass_is_itself_in_every_mode(any_mode: str) -> None:
    """It has its own arguments, calls the old initializer, and overrides run()."""

    class Worker(Thread):
        def __init__(self, number: int) -> None:
            super().__init__(name=f"worker-{number}", daemon=True)
            self.number = number
            self.ran = False

        def run(self) -> None:
            self.ran = threading.current_thread() is self

    worker = Worker(3)
    worker.start()
    worker.join()

    assert type(worker) is Worker
    assert worker.ran
    assert (worker.name, worker.daemon, worker.number) == ("worker-3", True, 3)


def test_a_subclass_without_the_old_initializer_fails_as_before(any_mode: str) -> None:
    """With the message of threading."""

    class Worker(Thread):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match=r"thread\.__init__\(\) not called"):
        Worker().start()


def test_the_daemon_bit_is_inherited_and_kept(any_mode: str) -> None:
    """As in threading, from the thread that makes it."""
    seen: list[bool] = []
    outer = Thread(target=lambda: seen.append(Thread(target=nothing).daemon), daemon=True)
    outer.start()
    outer.join()

    assert seen == [True]
    assert not Thread(target=nothing).daemon


def test_a_thread_cannot_be_pickled_as_before(any_mode: str) -> None:
    """It has locks."""
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(Thread(target=nothing))


def test_a_thread_is_started_once(any_mode: str) -> None:
    """The second time fails as in threading, and is not counted."""
    thread = Thread(target=nothing)
    thread.start()
    thread.join()

    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()


def test_a_thread_that_has_ended_is_not_kept(any_mode: str) -> None:
    """Neither by its owner nor by the resources."""
    thread = Thread(target=nothing)
    thread.start()
    thread.join()
    there = weakref.ref(thread)
    del thread
    gc.collect()

    assert there() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_a_thread_raises_goes_to_the_excepthook(any_mode: str) -> None:
    """With the thread, as in threading."""
    seen: list[object] = []

    def fail() -> None:
        raise ValueError("no")

    with mock.patch.object(threading, "excepthook", lambda args: seen.append((args.exc_type, args.thread))):
        thread = Thread(target=fail)
        thread.start()
        thread.join()

    assert seen == [(ValueError, thread)]


def test_the_mode_is_read_when_a_thread_is_made(enforce: None) -> None:
    """And stays its own."""
    thread = Thread(target=nothing)
    with switched_off("managed-threads"):
        other = Thread(target=nothing)

    assert isinstance(thread, Thread)
    assert not isinstance(other, Thread)
    assert stop_event(thread) is stop_event(thread)


def test_a_thread_knows_the_line_that_made_it(enforce: None) -> None:
    """Not that of the drop-in, and for a subclass not that of its initializer."""

    class Worker(Thread):
        def __init__(self) -> None:
            super().__init__(target=nothing)

    for thread in (Thread(target=nothing), Worker()):
        ownership = ownership_of(thread)
        assert ownership is not None
        assert ownership.site.path == __file__
        assert ownership.site.function == test_a_thread_knows_the_line_that_made_it.__qualname__


def test_threads_are_counted(enforce: None) -> None:
    """Those that started, and those that live."""
    before = statistics().started if any(each.kind == "threads" for each in resources()) else 0
    threads = [Thread(target=lambda: stop_event().wait(), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()

    assert statistics().started == before + 3
    assert statistics().alive == 3
    for thread in threads:
        stop_event(thread).set()
        thread.join()
    assert statistics().alive == 0


def test_observe_counts_what_would_have_an_owner(observe: None) -> None:
    """And leaves its daemon among those that have none."""
    end = threading.Event()
    thread = Thread(target=end.wait, daemon=True)
    thread.start()

    assert statistics().observed == 1
    assert statistics().alive == 0
    assert statistics().unowned_daemons >= 1
    end.set()
    thread.join()


def test_the_stop_event_is_that_of_the_current_thread(enforce: None) -> None:
    """Whoever has the thread can set it."""
    thread = Thread(target=lambda: stop_event().wait())
    thread.start()

    stop_event(thread).set()
    thread.join()

    assert not stop_event().is_set()


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_without_an_owner_nobody_sets_the_stop_event(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the thread's own, so that who sets it stops no other."""
    monkeypatch.setenv("PENSTOCK_MODE", mode)
    first, second = Thread(target=nothing), Thread(target=nothing)

    stop_event(first).set()

    assert stop_event(first).is_set()
    assert not stop_event(second).is_set()
    assert not stop_event().is_set()


def test_a_timer_fires_and_can_be_cancelled(any_mode: str) -> None:
    """As in threading."""
    fired: list[object] = []
    timer = Timer(0, fired.append, args=["now"])
    never = Timer(3_600, fired.append, args=["later"])
    timer.start()
    never.start()
    never.cancel()
    timer.join()
    never.join()

    assert fired == ["now"]


def test_making_a_thread_does_not_take_part_in_the_exit_before_it_starts() -> None:
    """Importing the package and making threads in mode off does nothing at all."""
    assert ownership_of(Thread(target=nothing)) is None
    assert penstock_tasks.threads()[0].owner == "main"


@pytest.mark.parametrize("name", ["Thread", "Timer"])
def test_off_makes_what_a_test_has_put_in_the_place_of_threadings(name: str) -> None:
    """`mock.patch("threading.Thread")` works on as before."""
    with mock.patch(f"threading.{name}") as double:
        made = getattr(penstock_tasks, name)(1, print)

    assert made is double.return_value
    double.assert_called_once_with(1, print)


def test_a_thread_may_be_made_without_our_constructor(any_mode: str) -> None:
    """A `__new__` of its own that calls object's works, as with the original; nobody owns it then."""

    class Single(Thread):
        def __new__(cls) -> Any:
            return object.__new__(cls)

    thread = Single()
    thread.start()
    thread.join()
    assert not thread.is_alive()


def test_a_call_that_begins_while_the_exit_tells_its_thread_is_told() -> None:
    """Whichever of the two comes first: no call misses it."""

    class Late(Stop):
        def set(self) -> None:
            super().set()
            seen.append(with_stop(Stop(), lambda: stop_event().is_set()))

    def work() -> None:
        ownership = Ownership(Mode.ENFORCE, "exit", call_site(), stop=Late())
        vars(threading.current_thread())["_penstock"] = ownership
        ownership.tell(threading.current_thread())

    seen: list[bool] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
