"""Tests that notice a guard that keeps, counts, changes or piles up things."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import weakref

import penstock_limits
import pytest


@pytest.mark.parametrize("number", range(150))
def test_patches_that_are_taken_back_later(number, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda self, *args, **kwargs: None)
    assert len(layers(socket.socket.__init__)) <= 2


def test_patches_do_not_pile_up():
    assert len(layers(threading.Thread.start)) <= 2
    assert len(layers(subprocess.Popen.__init__)) <= 2
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def layers(function):
    found = [function]
    while hasattr(found[-1], "__wrapped__"):
        found.append(found[-1].__wrapped__)
    return found


@pytest.fixture(scope="session")
def threads():
    return threading.active_count()


def test_threads_are_counted(threads):
    assert threading.active_count() == threads


async def test_threads_are_counted_in_a_loop(threads):
    assert threading.active_count() == threads
    assert len(asyncio.all_tasks()) == 1


def test_a_forked_child_runs_a_loop():
    for _ in range(20):
        child = os.fork()
        if child == 0:
            asyncio.run(asyncio.sleep(0))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def test_a_thread_is_collected():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    reference = weakref.ref(thread)
    del thread
    gc.collect()
    assert reference() is None


def test_a_loop_is_collected():
    async def main():
        await asyncio.create_task(asyncio.sleep(0))
        return weakref.ref(asyncio.get_running_loop())

    reference = asyncio.run(main())
    gc.collect()
    assert reference() is None


def test_a_process_that_is_dropped_warns():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    number, stdin = process.pid, process.stdin
    with pytest.warns(ResourceWarning, match="still running"):
        del process
    stdin.close()
    os.waitpid(number, 0)


class Broken:
    name, kind = "broken", "pool"

    def statistics(self):
        raise RuntimeError("broken for the test")


BROKEN = Broken()


def test_a_resource_that_cannot_be_asked():
    penstock_limits.enter_resource(BROKEN)


def test_after_that():
    pass
