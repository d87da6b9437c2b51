"""One test for each thing that the guard accuses; its name says what."""

import asyncio
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import aiohttp
import asyncpg
import httpx
import penstock_tasks
import psycopg_pool
import pytest
from penstock_limits import CircuitBreaker, Limiter, Mode, enter_resource
from penstock_limits.testing import VirtualTimeLoop, run_in_virtual_time, switched_off

KEPT = []


async def forever():
    await asyncio.Event().wait()


async def test_task():
    KEPT.append(asyncio.create_task(forever()))


def test_task_in_a_loop_that_stands_still():
    loop = asyncio.new_event_loop()

    async def main():
        KEPT.append(asyncio.create_task(forever()))

    loop.run_until_complete(main())
    KEPT.append(loop)
    loop.close()


async def numbers():
    yield 1
    yield 2


async def test_async_generator():
    KEPT.append(numbers())
    await anext(KEPT[-1])


async def test_async_generator_left_by_break():
    async for _ in numbers():
        break


def test_thread():
    event = threading.Event()
    KEPT.append(event)
    threading.Thread(target=event.wait).start()


def test_daemon_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_thread_that_is_only_observed(monkeypatch):
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "observe")
    penstock_tasks.Thread(target=threading.Event().wait, daemon=True).start()


async def test_thread_of_a_coroutine():
    threading.Timer(1000, print).start()
    KEPT.append(threading.enumerate()[-1])


def test_thread_of_a_thread():
    def work():
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_executor():
    KEPT.append(ThreadPoolExecutor(1))
    KEPT[-1].submit(int)


def test_executor_of_processes():
    KEPT.append(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))


def test_subprocess():
    KEPT.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))


async def test_subprocess_of_asyncio():
    KEPT.append(await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE))


def test_subprocess_of_multiprocessing():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,), daemon=True)
    process.start()


def test_socket():
    KEPT.append(socket.create_server(("127.0.0.1", 0)))


@pytest.fixture(scope="session")
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


async def test_socket_of_a_stream(server):
    KEPT.append(await asyncio.open_connection(*server))


def test_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    KEPT.append(path.open())


async def test_client():
    httpx.AsyncClient()


async def test_client_of_aiohttp():
    KEPT.append(aiohttp.ClientSession())


async def test_pool():
    KEPT.append(await asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none", min_size=0))


def test_pool_of_psycopg():
    KEPT.append(psycopg_pool.ConnectionPool("host=127.0.0.1 port=1", min_size=0, max_size=1, open=True))


async def test_blocked_loop():
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass


async def test_blocked_loop_by_a_call():
    time.sleep(0.001)


async def test_fan_out():
    await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(11)])


def test_fan_out_of_tasks():
    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(0.01)) for _ in range(11)]
        await asyncio.wait(tasks)

    asyncio.run(main())


class Pool:
    name, kind = "orders", "pool"

    def __init__(self):
        self.running = self.peak_running = 0
        self.max_running = 2
        enter_resource(self)

    def statistics(self):
        return self


def test_connections():
    KEPT.append(Pool())
    KEPT[-1].peak_running = 3


def test_connections_not_returned():
    KEPT.append(Pool())
    KEPT[-1].running = KEPT[-1].peak_running = 1


async def test_permit():
    KEPT.append(Limiter("orders", max_running=2))
    await KEPT[-1].acquire()


def test_breaker():
    breaker = CircuitBreaker("orders", minimum_calls=1, mode=Mode.OFF)
    KEPT.append(breaker)
    for _ in range(2):
        with pytest.raises(OSError), breaker.attempt():
            raise OSError


def test_breaker_switched_off():
    with switched_off("governed-breaker"):
        pass


def test_breaker_patched(monkeypatch):
    monkeypatch.setattr(CircuitBreaker, "attempt", lambda self: None)


async def fails():
    raise OSError


async def call(delays):
    for delay in delays:
        try:
            await fails()
        except OSError:
            await asyncio.sleep(delay)


def test_retry():
    run_in_virtual_time(lambda: call([1, 2, 4]))


def test_retry_of_many():
    async def main():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(call([1.5]))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


def test_retry_of_a_library():
    tenacity = pytest.importorskip("tenacity")

    @tenacity.retry(wait=tenacity.wait_fixed(2), stop=tenacity.stop_after_attempt(5))
    async def called():
        await fails()

    async def main():
        with pytest.raises(tenacity.RetryError):
            await called()

    run_in_virtual_time(main)


@pytest.fixture(scope="session", autouse=True)
def end_all():
    """The guard accuses; somebody must end it."""
    yield
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
    for kept in KEPT:
        if isinstance(kept, threading.Event):
            kept.set()
        elif isinstance(kept, (ThreadPoolExecutor, ProcessPoolExecutor)):
            kept.shutdown()
        elif isinstance(kept, psycopg_pool.ConnectionPool):
            kept.close()
        elif isinstance(kept, subprocess.Popen):
            kept.kill()
            kept.communicate()
        elif isinstance(kept, asyncio.subprocess.Process):
            kept._transport._proc.kill()
            kept._transport._proc.wait()
