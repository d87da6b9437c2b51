"""What `after_fork` calls in a child."""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Iterator

import pytest
from penstock_limits import forks
from penstock_limits.forks import after_fork

from tests.children import told_by_a_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test asks for is forgotten afterwards: the process forks again."""
    renewals = forks._Renewals()
    monkeypatch.setattr(forks, "_renewals", renewals)
    yield
    renewals._known.clear()


class Counter:
    """Counts in how many forks it has been renewed."""

    def __init__(self) -> None:
        self.renewed = 0

    def renew(self) -> None:
        self.renewed += 1


def test_it_is_called_in_the_child_only() -> None:
    """The parent goes on as it was."""
    counter = Counter()
    after_fork(counter.renew)

    assert told_by_a_child(lambda: counter.renewed) == "1"
    assert counter.renewed == 0


def test_it_is_called_once_however_often_it_was_asked_for() -> None:
    """A method is another object each time it is looked up; equal is the same."""
    counter, called = Counter(), []
    function = lambda: called.append("function")  # noqa: E731
    for _ in range(3):
        after_fork(counter.renew)
        after_fork(function)

    assert told_by_a_child(lambda: (counter.renewed, called)) == "(1, ['function'])"


def test_it_is_called_once_whichever_threads_ask_first() -> None:
    """One of them has it registered with the system."""
    for _ in range(50):
        renewals, counter = forks._Renewals(), Counter()
        start = threading.Barrier(4)

        def ask(start: threading.Barrier = start, renewals: forks._Renewals = renewals, it: Counter = counter) -> None:
            start.wait()
            renewals.add(it.renew)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert told_by_a_child(lambda counter=counter: counter.renewed) == "1"  # type: ignore[misc]


def test_each_object_is_told() -> None:
    """In the order in which they asked first; those that are equal, and have no hash, too."""

    class Equal(list):  # type: ignore[type-arg]
        def renew(self) -> None:
            order.append(id(self))

    order: list[int] = []
    first, second = Equal(), Equal()
    after_fork(second.renew)
    after_fork(first.renew)
    after_fork(second.renew)

    assert told_by_a_child(lambda: order) == repr([id(second), id(first)])


def test_a_method_whose_object_cannot_be_let_go_is_refused() -> None:
    """Rather than kept for ever."""

    class Slotted:
        __slots__ = ()

        def renew(self) -> None: ...

    with pytest.raises(TypeError, match="weak reference"):
        after_fork(Slotted().renew)


def test_a_method_keeps_nothing_alive() -> None:
    """What has gone is not told, and forgotten."""
    counter = Counter()
    after_fork(counter.renew)
    gone = weakref.ref(counter)
    del counter
    gc.collect()

    assert gone() is None
    assert forks._renewals._known == {}
    assert told_by_a_child(lambda: "here") == "'here'"


def test_one_that_fails_keeps_no_other_from_being_called(caplog: pytest.LogCaptureFixture) -> None:
    """And is logged, in the child."""
    counter = Counter()

    def fail() -> None:
        raise ZeroDivisionError

    after_fork(fail)
    after_fork(counter.renew)
    with caplog.at_level(logging.ERROR, "penstock.limits"):
        told = told_by_a_child(lambda: (counter.renewed, [each.getMessage() for each in caplog.records]))

    assert told.startswith("(1, ['in a forked child: <function test_one_that_fails")


def test_a_child_of_a_child_is_told_again() -> None:
    """Each fork is one."""
    counter = Counter()
    after_fork(counter.renew)

    assert told_by_a_child(lambda: told_by_a_child(lambda: counter.renewed)) == repr("2")


def test_a_child_may_ask_though_a_thread_of_its_parent_was_asking() -> None:
    """The lock is the child's own."""
    renewals, counter = forks._Renewals(), Counter()
    renewals.add(counter.renew)
    renewals._follows = False
    with renewals._lock:
        told = told_by_a_child(lambda: renewals.add(counter.renew))

    assert told == "None"


def test_where_there_is_no_fork_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.delattr(os, "register_at_fork")

    after_fork(Counter().renew)
