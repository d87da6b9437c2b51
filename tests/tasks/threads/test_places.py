"""threads(): where every thread stands."""

from __future__ import annotations

import threading

import pytest
from penstock_tasks import Thread, ThreadNode, stop_event, threads


def node_of(thread: threading.Thread) -> ThreadNode:
    (node,) = [each for each in threads() if each.ident == thread.ident]
    return node


def parked(begun: threading.Event, end: threading.Event) -> None:
    begun.set()
    end.wait()


def test_a_thread_of_the_program_has_an_owner_an_age_and_a_place(enforce: None) -> None:
    """The place is the innermost line of the program, not the lock below it."""
    begun, end = threading.Event(), threading.Event()
    thread = Thread(target=parked, args=(begun, end), name="worker", daemon=True)
    thread.start()
    begun.wait()
    while "wait" not in node_of(thread).stack[-1].function:  # it has not got there yet
        pass
    node = node_of(thread)
    end.set()
    thread.join()

    assert (node.name, node.owner, node.mode, node.daemon) == ("worker", "exit", "enforce", True)
    assert node.age is not None
    assert node.age >= 0
    assert node.stands_at is not None
    assert node.stands_at.function == "parked"
    assert str(node).startswith("daemon 'worker' of exit, ")
    assert str(node).endswith(f"is at {node.stands_at}")


def test_a_thread_of_others_has_no_owner(enforce: None) -> None:
    """Nor an age; it is there all the same."""
    begun, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=parked, args=(begun, end), name="other")
    thread.start()
    begun.wait()
    node = node_of(thread)
    end.set()
    thread.join()

    assert (node.owner, node.mode, node.age, node.created) == (None, None, None, None)
    assert str(node).startswith("thread 'other' without an owner, is at ")


def test_observe_knows_a_thread_and_does_not_own_it(observe: None) -> None:
    """Nobody would end it."""
    begun, end = threading.Event(), threading.Event()
    thread = Thread(target=parked, args=(begun, end))
    thread.start()
    begun.wait()
    node = node_of(thread)
    end.set()
    thread.join()

    assert (node.owner, node.mode) == (None, "observe")
    assert node.created is not None


def test_the_main_thread_owns_itself() -> None:
    """It stands where it asks."""
    (node,) = [each for each in threads() if each.owner == "main"]

    assert node.stands_at is not None
    assert node.stands_at.function == test_the_main_thread_owns_itself.__qualname__


def test_a_thread_that_has_just_ended_is_nowhere() -> None:
    """Its frames are gone, its node is not."""
    node = ThreadNode("gone", 1, None, None, daemon=False, age=None, created=None, stack=())

    assert node.stands_at is None


@pytest.mark.parametrize("number", [1, 20])
def test_all_threads_are_there(number: int, enforce: None) -> None:
    """While they come and go."""
    some = [Thread(target=lambda: stop_event().wait(), daemon=True) for _ in range(number)]
    for thread in some:
        thread.start()

    assert {thread.ident for thread in some} <= {node.ident for node in threads()}
    for thread in some:
        stop_event(thread).set()
        thread.join()
