"""Who waits for a session, for how long, and who is told at once that he would wait for ever."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import queue
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import penstock_pooling.psycopg
import penstock_pooling.psycopg2
import psycopg
import pytest
from penstock_limits.introspection import call_site
from penstock_pooling import PoolDeadlockError, PoolTimeoutError
from penstock_pooling._sessions.waiters import TaskWaiter

from tests.limits.sources import Source
from tests.pooling.drop_ins.drivers import Driver, ask
from tests.pooling.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("enforce")


@contextlib.contextmanager
def threads(*targets):
    """Run functions in threads to their end; raise what they raise."""
    with ThreadPoolExecutor(len(targets)) as executor:
        futures = [executor.submit(target) for target in targets]
        yield
        for future in futures:
            future.result(PATIENCE)


def test_threads_are_served_in_the_order_they_came(driver: Driver, own_dsn: str, pool, size) -> None:
    """Whoever comes first is served first."""
    size(1)
    served, connection = [], driver.connect(own_dsn)

    def wait(number: int) -> None:
        with contextlib.closing(driver.connect(own_dsn)):
            served.append(number)

    with ThreadPoolExecutor(8) as executor:
        futures = []
        for number in range(8):
            futures.append(executor.submit(wait, number))
            until(lambda: pool().statistics().queued == len(futures))
        connection.close()
        for future in futures:
            future.result(PATIENCE)

    assert served == list(range(8))
    told = pool().statistics()
    assert (told.waited, told.queued, told.running, told.peak_running) == (8, 0, 0, 1)


def test_a_full_pool_names_the_lines_that_have_its_connections(
    driver: Driver, own_dsn: str, pool, size, events
) -> None:
    """When the caller has waited for `database_operation_timeout`; then it goes on."""
    size(1, 0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.closing(driver.connect(own_dsn)):
            held.set()
            done.wait(PATIENCE)

    with threads(hold):
        held.wait(PATIENCE)
        with pytest.raises(PoolTimeoutError, match=r"within 0.05 s.*test_waiting.py:\d+ in .*hold") as caught:
            driver.connect(own_dsn)
        done.set()

    assert not isinstance(caught.value, PoolDeadlockError)
    assert [event.name for event in events] == ["pool.timed_out"]
    assert pool().statistics().timed_out == 1
    driver.connect(own_dsn).close()


def test_a_thread_that_has_all_connections_is_told_at_once(driver: Driver, own_dsn: str, pool, size, events) -> None:
    """With the line that has them."""
    size(2, 600.0)
    connections = [driver.connect(own_dsn) for _ in range(2)]
    with pytest.raises(PoolDeadlockError, match=r"would never serve.*test_waiting.py:\d+"):
        driver.connect(own_dsn)

    assert [event.name for event in events] == ["pool.deadlocked"]
    assert pool().statistics().deadlocked == 1
    for connection in connections:
        connection.close()
    driver.connect(own_dsn).close()


def test_it_is_told_in_nested_blocks_and_helpers_too(driver: Driver, own_dsn: str, size) -> None:
    """As long as nothing but variables of its calls leads to what it has."""
    size(1, 600.0)

    @contextlib.contextmanager
    def helper():
        with contextlib.closing(driver.connect(own_dsn)) as connection, connection.cursor() as cursor:
            yield cursor

    with helper() as cursor:
        cursor.execute("SELECT 1")
        with pytest.raises(PoolDeadlockError):
            driver.connect(own_dsn)


def test_threads_that_wait_for_each_other_are_told_by_the_last(driver: Driver, own_dsn: str, size) -> None:
    """The other gets what it gives back."""
    size(2, 600.0)
    both, outcomes = threading.Barrier(2), []

    def nested() -> None:
        with contextlib.closing(driver.connect(own_dsn)):
            both.wait(PATIENCE)
            try:
                driver.connect(own_dsn).close()
                outcomes.append("served")
            except PoolDeadlockError:
                outcomes.append("refused")

    with threads(nested, nested):
        pass

    assert sorted(outcomes) == ["refused", "served"]


def test_a_connection_that_frozen_memory_refers_to_may_be_given_back(
    driver: Driver, own_dsn: str, pool, size, frozen: list[object]
) -> None:
    """No search finds what does, so nobody is refused."""
    size(1, PATIENCE)
    frozen.append(driver.connect(own_dsn))

    def give_back() -> None:
        until(lambda: pool().statistics().queued == 1)
        frozen.pop().close()

    with threads(give_back):
        driver.connect(own_dsn).close()

    assert pool().statistics().deadlocked == 0


@pytest.mark.parametrize("way", ["queue", "argument", "frame"])
def test_a_thread_that_hands_its_connections_on_may_wait(way: str, driver: Driver, own_dsn: str, pool, size) -> None:
    """Somebody else gives them back."""
    size(1, 600.0)
    jobs: queue.Queue = queue.Queue()

    def use(connection=None) -> None:
        connection = connection or jobs.get(timeout=PATIENCE)
        until(lambda: pool().statistics().queued == 1)
        ask(connection, "SELECT 1")
        connection.close()

    connection = driver.connect(own_dsn)
    if way == "queue":
        jobs.put(connection)
    if way == "frame":
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(use, connection)
            driver.connect(own_dsn).close()
            future.result(PATIENCE)
    else:
        thread = threading.Thread(target=use, args=() if way == "queue" else (connection,))
        thread.start()
        driver.connect(own_dsn).close()
        thread.join(PATIENCE)

    assert pool().statistics().deadlocked == 0


def test_a_caller_that_waits_goes_on_when_it_is_turned_off(
    driver: Driver, own_dsn: str, pool, size, monkeypatch
) -> None:
    """With a connection of its own."""
    import penstock_limits

    monkeypatch.delenv("PENSTOCK_MODE_POOLED_DATABASE")
    source = Source("enforce", "pooled-database")
    penstock_limits.set_mode_source(source)
    size(1, 600.0)
    connection, kinds = driver.connect(own_dsn), []

    def wait() -> None:
        with contextlib.closing(driver.connect(own_dsn)) as mine:
            kinds.append(type(mine))

    with threads(wait):
        until(lambda: pool().statistics().queued == 1)
        source.turn("off")
    connection.close()

    assert kinds == [driver.connection]


def test_a_caller_that_cannot_connect_takes_no_place(driver: Driver, own_dsn: str, size) -> None:
    """However often it tries."""
    size(1, 0.05)
    for _ in range(3):
        with pytest.raises(driver.module.OperationalError):
            driver.connect(own_dsn, dbname="nowhere")


class Users:
    """Threads that use sessions at random, and find out who else has theirs."""

    def __init__(self, driver: Driver, dsn: str, seed: int) -> None:
        self.driver, self.dsn, self.seed = driver, dsn, seed
        self.in_use: set[int] = set()
        self.lock = threading.Lock()

    def work(self, number: int, rounds: int) -> None:
        dice = random.Random(f"{self.seed} {number}")
        for _ in range(rounds):
            self.once(dice.choice(["close", "commit", "error", "setting", "autocommit", "with", "forget"]))

    def once(self, ending: str) -> None:
        connection = self.driver.connect(self.dsn)
        mine = ask(connection, "SELECT pg_backend_pid()")
        with self.lock:
            assert mine not in self.in_use
            self.in_use.add(mine)
        assert ask(connection, "SHOW work_mem") == "4MB"
        with contextlib.suppress(self.driver.module.DataError):
            self.use(connection, ending)
        with self.lock:
            self.in_use.discard(mine)
        if ending == "with":
            with connection:
                pass
        if ending != "forget":
            connection.close()

    def use(self, connection, ending: str) -> None:
        if ending == "error":
            ask(connection, "SELECT 1 / 0")
        if ending == "setting":
            ask(connection, "SELECT set_config('work_mem', '1MB', false)")
        if ending in {"commit", "setting"}:
            connection.commit()
        if ending == "autocommit":
            connection.rollback()
            connection.autocommit = True


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of those that are forgotten
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 3))])
def test_threads_use_it_at_random(seed: int, driver: Driver, own_dsn: str, pool, size, sessions) -> None:
    """Nobody gets a session that another has, or what another left; nothing is lost; never too many are open."""
    size(3, 600.0)
    users, seen, done = Users(driver, own_dsn, seed), [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            seen.append(sessions())

    with threads(count):
        try:
            with threads(*(partial(users.work, number, 25) for number in range(8))):
                pass
        finally:
            done.set()

    told = pool().statistics()
    assert (told.running, told.queued, told.acquired, told.peak_running) == (0, 0, 200, 3)
    assert max(seen) <= 3


def test_nobody_opens_one_while_another_is_still_being_ended(
    driver: Driver, own_dsn: str, pool, size, monkeypatch
) -> None:
    """The server would have one too many; if there is room, nobody waits for it."""
    size(2, 600.0)
    driver.connect(own_dsn).close()
    ending = [2]
    monkeypatch.setattr(pool()._endings, "count", lambda: ending[0])
    connection = driver.connect(own_dsn)

    with threads(lambda: driver.connect(own_dsn).close()):
        until(lambda: pool().statistics().running == 2)
        assert pool().statistics().opened == 1
        ending[0] = 0
    connection.close()

    assert pool().statistics().opened == 2


async def test_a_task_that_another_thread_serves_knows_it_when_it_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run on before that thread does, and would leave its place to nobody."""
    waiter, seen = TaskWaiter(call_site()), []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", lambda _: seen.append(waiter.admitted))

    assert waiter.leave(admitted=True)
    assert seen == [True]


@pytest.mark.parametrize("connect", [penstock_pooling.psycopg.connect, penstock_pooling.psycopg2.connect])
def test_a_refusal_says_what_to_raise(connect, own_dsn: str, size) -> None:
    """It is the configuration, of which the caller knows."""
    size(1, 0.05)
    with contextlib.closing(connect(own_dsn)), pytest.raises(PoolTimeoutError, match="raise rag_pool_max_size"):
        connect(own_dsn)


def test_a_refusal_is_an_error_of_psycopg(own_dsn: str, size) -> None:
    """So code that was written for a server that has no more connections goes on to work."""
    size(1, 600.0)
    with penstock_pooling.psycopg.connect(own_dsn), pytest.raises(psycopg.OperationalError) as caught:
        penstock_pooling.psycopg.connect(own_dsn)

    assert isinstance(caught.value, PoolDeadlockError)
    assert caught.value.sqlstate is None
    assert caught.value.diag.message_primary is None
    elsewhere = pickle.loads(pickle.dumps(caught.value))
    assert type(elsewhere) is PoolDeadlockError
    assert str(elsewhere).partition(", or raise")[0] == str(caught.value).partition(", or raise")[0]


def test_a_lost_session_costs_no_place_where_only_an_open_one_is_closed(
    driver: Driver, own_dsn: str, dsn: str, pool, size
) -> None:
    """Many programs close a connection only if it is not closed; it may be in hand for long."""
    size(1, 5.0)
    connection = driver.connect(own_dsn)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 30_000)", (ask(connection, "SELECT pg_backend_pid()"),))
    with pytest.raises(driver.module.Error):
        ask(connection, "SELECT 1")
    if not connection.closed:
        connection.close()

    assert pool().statistics().running == 0
    with contextlib.closing(driver.connect(own_dsn)) as another:
        connection.close()
        assert ask(another, "SELECT 1") == 1
        assert pool().statistics().running == 1
    assert connection.closed


async def test_a_lost_session_costs_no_place_for_tasks_either(own_dsn: str, dsn: str, pool, size) -> None:
    """As for threads."""
    size(1, 5.0)
    connection = await penstock_pooling.psycopg.AsyncConnection.connect(own_dsn)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 30_000)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.Error):
        await connection.execute("SELECT 1")

    assert connection.closed
    assert pool().statistics().running == 0
    async with await penstock_pooling.psycopg.AsyncConnection.connect(own_dsn) as another:
        await connection.close()
        assert (await (await another.execute("SELECT 1")).fetchone())[0] == 1
