"""What the guard must not accuse: the same things, ended, limited, or somebody else's."""

import asyncio
import contextlib
import functools
import gc
import inspect
import logging
import multiprocessing
import random
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import anyio
import asyncpg
import httpx
import penstock_limits
import penstock_tasks
import psycopg_pool
import pytest
import requests
from penstock_limits import CircuitBreaker, Limiter, Mode, enter_resource, retry
from penstock_limits.testing import run_in_virtual_time
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

KEPT = []


async def forever():
    await asyncio.Event().wait()


async def test_task_that_is_cancelled_only():
    asyncio.create_task(forever()).cancel()


async def test_task_that_ends_soon():
    asyncio.create_task(asyncio.sleep(0))


def test_task_that_asyncio_run_ends():
    async def main():
        KEPT.append(asyncio.create_task(forever()))

    asyncio.run(main())


class Manager:
    name, kind = "manager", "tasks"

    def __init__(self):
        self.owned = set()
        enter_resource(self)

    def statistics(self):
        return None

    def owns(self, thing):
        return thing in self.owned


async def test_task_that_a_manager_owns():
    KEPT.append(Manager())
    KEPT[-1].owned.add(asyncio.create_task(forever()))


@pytest.fixture
async def background():
    tasks = []
    yield tasks
    for task in tasks:
        task.cancel()


async def test_task_that_a_fixture_ends(background):
    background.append(asyncio.create_task(forever()))


async def numbers():
    yield 1
    yield 2


async def test_async_generator_that_is_closed():
    async with contextlib.aclosing(numbers()) as closing:
        async for _ in closing:
            break
    assert [number async for number in numbers()] == [1, 2]


def test_thread_that_is_joined():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def test_thread_that_is_about_to_end():
    threading.Timer(0.02, int).start()


async def test_thread_of_the_loop():
    await asyncio.to_thread(int)


async def test_thread_of_anyio():
    await anyio.to_thread.run_sync(int)


class Threads(Manager):
    kind = "threads"


def test_thread_that_a_manager_owns():
    KEPT.append(Threads())
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    KEPT[-1].owned.add(thread)


def test_threads_and_executors_that_the_exit_ends(monkeypatch):
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "enforce")
    penstock_tasks.Thread(target=lambda: penstock_tasks.stop_event().wait(), daemon=True).start()
    penstock_tasks.ThreadPoolExecutor(1).submit(int).result()


async def test_task_of_the_drop_in(monkeypatch):
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "enforce")
    penstock_tasks.create_task(forever())


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_executor_of_a_fixture(executor):
    executor.submit(int).result()


def test_executor_that_is_shut_down():
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int)


def test_subprocess_that_is_waited_for():
    subprocess.run([sys.executable, "-c", ""], check=True)
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()


async def test_subprocess_of_asyncio():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    assert await process.wait() == 0


@pytest.fixture(scope="session")
def server():
    """Answers with a connection that it keeps open."""
    accepted = []

    def serve():
        while True:
            accepted.append(listening.accept())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()


def test_socket_that_is_closed(server):
    with socket.create_connection(server):
        pass


@pytest.fixture(scope="session")
def connections():
    """A pool that connects when it is used first."""
    kept = {}
    yield kept
    for each in kept.values():
        each.close()


def test_socket_of_a_pool_of_a_fixture(server, connections):
    connections["first"] = socket.create_connection(server)


def test_socket_of_a_closure_of_a_fixture(connect):
    connect()


@pytest.fixture
def connect(server):
    made = []
    yield lambda: made.append(socket.create_connection(server))
    for each in made:
        each.close()


class TestSetUp:
    def setup_method(self):
        self.sockets = []

    def teardown_method(self):
        for each in self.sockets:
            each.close()

    def test_socket_that_teardown_closes(self):
        self.sockets.append(socket.socket())


async def test_socket_of_a_stream(server):
    _, writer = await asyncio.open_connection(*server)
    writer.close()
    await writer.wait_closed()


def test_file_that_is_closed(tmp_path):
    with (tmp_path / "file").open("w"):
        pass


@pytest.fixture
def log(tmp_path):
    with (tmp_path / "log").open("w") as file:
        yield file


def test_file_of_a_fixture(log):
    with Path(log.name).open() as file:
        assert file.read() == ""


async def test_client_that_is_closed():
    async with httpx.AsyncClient():
        pass
    async with aiohttp.ClientSession():
        pass
    httpx.Client().close()


@pytest.fixture
async def session():
    async with httpx.AsyncClient() as client:
        yield client


async def test_client_of_a_fixture(session):
    assert not session.is_closed


async def test_pool_that_is_closed():
    async with asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none", min_size=0):
        pass
    KEPT.append(asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none"))  # never opened
    psycopg_pool.ConnectionPool("host=127.0.0.1 port=1", min_size=0, max_size=1, open=True).close()


async def test_blocked_loop_for_a_moment():
    end = time.monotonic() + 0.01
    while time.monotonic() < end:
        pass


@pytest.mark.penstock_guard(block=0.2)
async def test_blocked_thread():
    await asyncio.to_thread(time.sleep, 0.3)


@pytest.mark.penstock_guard(block=0.2)
def test_blocked_outside_of_the_loop():
    async def main():
        await asyncio.sleep(0)

    with asyncio.Runner() as runner:
        runner.run(main())
        time.sleep(0.3)
        runner.run(main())


async def worker(limit):
    async with limit:
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def slot(limit):
    async with limit:
        yield


async def in_slot(limit):
    async with slot(limit):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "limit", [asyncio.Semaphore, lambda n: Limiter(max_running=n), anyio.CapacityLimiter, anyio.Semaphore]
)
@pytest.mark.parametrize("most", [5, 30])
@pytest.mark.parametrize("work", [worker, in_slot])
async def test_fan_out_under_a_semaphore(work, limit, most):
    shared = limit(most)
    await asyncio.gather(*[work(shared) for _ in range(29)])


async def test_fan_out_of_penstock():
    await penstock_limits.gather(*[asyncio.sleep(0.01) for _ in range(30)], limit="api_call")
    await penstock_limits.gather(*[asyncio.sleep(0.01) for _ in range(30)], limit=5)
    limiter = Limiter(max_running=5)
    tasks = [penstock_limits.create_task(asyncio.sleep(0.01), limit=limiter) for _ in range(30)]
    await asyncio.wait(tasks)
    async for _ in penstock_limits.bounded_map(asyncio.sleep, [0.001] * 30, limit=5):
        pass


async def test_fan_out_of_a_server():
    """A task for each connection is the server's; the line that connects is limited."""
    everyone, limit = asyncio.Barrier(30), asyncio.Semaphore(30)

    async def serve(reader, writer):
        await reader.read()
        writer.close()

    async def connect(address):
        async with limit:
            _, writer = await asyncio.open_connection(*address)
            await everyone.wait()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await asyncio.gather(*[connect(server.sockets[0].getsockname()) for _ in range(30)])


async def test_fan_out_in_chunks():
    for _ in range(5):
        await asyncio.gather(*[asyncio.sleep(0.001) for _ in range(10)])


async def test_fan_out_that_does_not_wait():
    async def nothing():
        pass

    await asyncio.gather(*[nothing() for _ in range(30)])


@pytest.mark.penstock_guard(fanout=40)
async def test_fan_out_that_a_marker_allows():
    await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(30)])


class Pool:
    name, kind = "orders", "pool"

    def __init__(self):
        self.running, self.peak_running, self.max_running = 0, 2, 2
        enter_resource(self)

    def statistics(self):
        return self


def test_connections_within_the_maximum():
    KEPT.append(Pool())


async def test_permit_that_is_returned():
    KEPT.append(Limiter(max_running=2))
    async with KEPT[-1]:
        pass
    await KEPT[-1].acquire()
    KEPT[-1].release()


def test_breaker_that_enforces():
    breaker = CircuitBreaker("orders", minimum_calls=1)
    with pytest.raises(OSError), breaker.attempt():
        raise OSError
    with pytest.raises(penstock_limits.CircuitOpenError), breaker.attempt():
        pass


def test_breaker_that_observes():
    breaker = CircuitBreaker("orders", minimum_calls=1, mode=Mode.OBSERVE)
    for _ in range(2):
        with pytest.raises(OSError), breaker.attempt():
            raise OSError


async def fails():
    raise OSError


def test_retry_with_jitter():
    async def call():
        for attempt in range(4):
            try:
                await fails()
            except OSError:
                await asyncio.sleep(random.random() * 2**attempt)

    async def main():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(call())

    run_in_virtual_time(main)


def test_retry_in_two_loops_with_one_seed():
    async def main():
        chance = random.Random(1)
        try:
            await fails()
        except OSError:
            await asyncio.sleep(chance.random())

    run_in_virtual_time(main)
    run_in_virtual_time(main)


def test_wait_while_cancelled():
    async def stubborn():
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(1)

    async def main():
        tasks = [asyncio.create_task(stubborn()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run_in_virtual_time(main)


def test_retry_of_penstock():
    async def main():
        with pytest.raises(OSError):
            await retry(random=lambda: 0.5, attempts=6, on=OSError).call(fails)

    run_in_virtual_time(main)


def test_retry_that_is_a_poll():
    async def main():
        for _ in range(5):
            await asyncio.sleep(1)

    run_in_virtual_time(main)


@pytest.fixture
def begun_amid_the_test():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with socket.socket(), ThreadPoolExecutor(1) as executor:
        yield executor.submit
        stop.set()
        thread.join()


def test_fixture_that_begins_amid_the_test(request):
    request.getfixturevalue("begun_amid_the_test")(int).result()


def test_socket_that_a_finalizer_closes(request):
    request.addfinalizer(socket.socket().close)


class Connections:
    def __init__(self):
        self.made = []

    def connect(self, address):
        self.made.append(socket.create_connection(address))

    def close(self):
        for each in self.made:
            each.close()


@pytest.fixture(scope="module")
def hidden():
    """Yields nothing; the test reaches what it holds another way."""
    connections = Connections()
    HIDDEN.append(connections)
    yield
    connections.close()


def test_that_sets_up_a_fixture(hidden):
    pass


HIDDEN = []


def test_socket_of_a_fixture_that_yields_nothing(server):
    HIDDEN[0].connect(server)


@pytest.fixture
def delayed(tmp_path):
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    logging.getLogger("orders").addHandler(handler)
    yield
    logging.getLogger("orders").removeHandler(handler)
    handler.close()


def test_file_that_a_handler_of_a_fixture_opens(delayed):
    logging.getLogger("orders").error("for the test")


@pytest.fixture
def files():
    kept = []
    yield kept
    for each in kept:
        each.close()


def test_file_that_a_fixture_closes(files, tmp_path):
    files.append((tmp_path / "file").open("w"))


@functools.lru_cache
def cached_client():
    return httpx.Client()


@functools.cache
def cached_executor():
    return ThreadPoolExecutor(1)


def test_client_of_a_cache():
    cached_client()


def test_executor_of_a_cache():
    cached_executor().submit(int).result()


EXECUTOR = ThreadPoolExecutor(1)


def test_thread_of_an_executor_of_the_module():
    EXECUTOR.submit(int).result()


class Remote:
    def __init__(self):
        self.session = requests.Session()


REMOTE = Remote()


class Adapter(requests.adapters.BaseAdapter):
    """Connects as urllib3 does, and keeps that."""

    def send(self, request, **options):
        self.kept = socket.create_connection(("127.0.0.1", int(request.url.rpartition(":")[2].strip("/"))))
        response = requests.Response()
        response.status_code = 200
        return response

    def close(self):
        self.kept.close()


def test_socket_of_a_session_of_the_module(server):
    REMOTE.session.mount("kept://", Adapter())
    REMOTE.session.get(f"kept://host:{server[1]}/")


library = types.ModuleType("library_for_the_test")
library.__file__ = f"{sysconfig.get_path('purelib')}/library_for_the_test.py"
sys.modules["library_for_the_test"] = library
exec(
    compile(
        """
import threading
class Progress:
    monitor = None
    def __init__(self):
        if Progress.monitor is None:
            Progress.monitor = threading.Thread(target=threading.Event().wait, daemon=True)
            Progress.monitor.start()
""",
        library.__file__,
        "exec",
    ),
    vars(library),
)


def test_thread_that_a_library_starts_once():
    library.Progress()


async def test_default_executor_of_the_loop():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="mine"))
    await loop.run_in_executor(None, int)


APPLICATION = Starlette(routes=[Route("/", lambda request: PlainTextResponse(""))])


def test_client_that_calls_an_application():
    assert TestClient(APPLICATION).get("/").status_code == 200
    with TestClient(APPLICATION) as client:
        assert client.get("/").status_code == 200
    httpx.AsyncClient(transport=httpx.MockTransport(print))


def test_client_that_is_closed_and_dropped_is_collected():
    client = httpx.Client()
    client.close()
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None


@pytest.fixture
async def worker_with_a_permit():
    limiter = Limiter("shared", max_running=3)
    go, has_begun = asyncio.Event(), asyncio.Event()

    async def work():
        await go.wait()
        async with limiter:
            has_begun.set()
            await forever()

    task = asyncio.create_task(work())
    yield limiter, go, has_begun
    task.cancel()


async def test_permit_of_a_task_of_a_fixture(worker_with_a_permit):
    limiter, go, has_begun = worker_with_a_permit
    await limiter.acquire()
    limiter.release()
    await limiter.acquire(weight=2)
    limiter.release(2)
    go.set()
    await has_begun.wait()


async def test_coroutine_functions_stay_what_they_are():
    assert inspect.iscoroutinefunction(Limiter.acquire)
    async with httpx.AsyncClient() as client:
        assert inspect.iscoroutinefunction(client.aclose)


def test_what_fails_is_not_accused(request):
    request.node.add_marker(pytest.mark.xfail(strict=True))
    KEPT.append(socket.socket())
    raise AssertionError


def test_what_is_skipped_is_not_accused():
    KEPT.append(socket.socket())
    pytest.skip("for the test")


@pytest.mark.penstock_guard("off")
def test_that_is_not_watched():
    KEPT.append(socket.socket())


@pytest.mark.penstock_guard(ignore=("socket", "thread"))
def test_that_ignores_a_check():
    KEPT.append(socket.socket())
