"""How `bounded_map` reads, runs and ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits import ConfigurationError, Limiter, QueueFullError, bounded_map, gather

from tests.limits.gauge import Doors, Gauge, settled

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


class Input:
    """Items, of which the test can tell how many were read and whether it was closed."""

    def __init__(self, number: int = 100) -> None:
        self.number = number
        self.read = 0
        self.closed = False

    def plain(self) -> Iterator[int]:
        try:
            for item in range(self.number):
                self.read += 1
                yield item
        finally:
            self.closed = True

    async def asynchronous(self) -> AsyncIterator[int]:
        try:
            for item in range(self.number):
                self.read += 1
                await asyncio.sleep(0)
                yield item
        finally:
            self.closed = True


KINDS = pytest.mark.parametrize("kind", [Input.plain, Input.asynchronous], ids=["iterable", "async iterable"])
ISOLATE = pytest.mark.parametrize("isolate", [True, False], ids=["tasks", "workers"])
LIMITS = pytest.mark.parametrize("limit", [lambda: 3, lambda: Limiter(max_running=3)], ids=["number", "limiter"])


async def collect(results: AsyncIterator[object], seen: list[object]) -> None:
    async for result in results:
        seen.append(result)  # noqa: PERF401 - what came before a failure must be seen


async def double(item: int) -> int:
    await asyncio.sleep(0)
    return 2 * item


@KINDS
@ISOLATE
@LIMITS
async def test_results_come_in_the_order_of_the_items(kind: Callable, isolate: bool, limit: Callable) -> None:
    """Of a hundred items never more than three run at once; results come in order, and the input is closed."""
    items, gauge = Input(), Gauge()

    async def work(item: int) -> int:
        await gauge.visit(turns=item % 5)
        return item

    results = [result async for result in bounded_map(work, kind(items), limit=limit(), isolate=isolate)]

    assert results == list(range(100))
    assert gauge.peak == 3
    assert items.closed


@KINDS
@ISOLATE
async def test_unordered_results_come_as_they_finish(kind: Callable, isolate: bool) -> None:
    """A slow first item does not hold back the others."""
    doors = Doors()

    async def work(item: int) -> int:
        if item == 0:
            await doors.enter()
        return item

    results = bounded_map(work, kind(Input(5)), limit=2, ordered=False, isolate=isolate)
    early = [await anext(results) for _ in range(4)]
    doors.open.set()

    assert (sorted(early), [result async for result in results]) == ([1, 2, 3, 4], [0])


@KINDS
@ISOLATE
@LIMITS
@pytest.mark.parametrize("ordered", [True, False])
async def test_a_slow_consumer_stops_the_intake(kind: Callable, isolate: bool, limit: Callable, ordered: bool) -> None:
    """Items that run, or are finished and not yet yielded, never exceed twice the limit."""
    items, taken = Input(), 0

    async with bounded_map(double, kind(items), limit=limit(), ordered=ordered, isolate=isolate) as results:
        async for _ in results:
            taken += 1
            await settled()
            in_hand = 1  # read, but not started
            assert items.read - taken <= 2 * 3 + in_hand


@KINDS
async def test_nothing_is_read_before_the_first_step(kind: Callable) -> None:
    """The call itself only looks at its arguments."""
    items = Input()

    bounded_map(double, kind(items), limit=2)
    await settled()

    assert items.read == 0


@KINDS
@ISOLATE
@LIMITS
async def test_leaving_early_cancels_and_awaits_what_runs(kind: Callable, isolate: bool, limit: Callable) -> None:
    """After `break`, nothing runs and the input is closed before the block is left."""
    items, doors, cleaned = Input(), Doors(), []

    async def work(item: int) -> int:
        if item == 0:
            return item
        try:
            await doors.enter()
        finally:
            await asyncio.sleep(0)
            cleaned.append(item)
        return item

    async with bounded_map(work, kind(items), limit=limit(), isolate=isolate) as results:
        async for _ in results:
            await settled()
            break

    assert (sorted(cleaned), doors.gauge.now, items.closed) == ([1, 2, 3], 0, True)
    assert [result async for result in results] == []


@KINDS
@ISOLATE
async def test_the_first_exception_cancels_the_others_and_is_raised(kind: Callable, isolate: bool) -> None:
    """It is raised in its place in the order, after the others have ended."""
    items, doors, seen = Input(), Doors(), []

    async def work(item: int) -> int:
        if item == 1:
            raise LookupError(item)
        if item > 1:
            await doors.enter()
        return item

    with pytest.raises(LookupError):
        await collect(bounded_map(work, kind(items), limit=3, isolate=isolate), seen)

    assert (seen, doors.gauge.now, items.closed) == ([0], 0, True)


@ISOLATE
async def test_exceptions_can_be_results(isolate: bool) -> None:
    """With on_error="return" each stands in the place of its result, and all items run."""

    async def work(item: int) -> int:
        if item % 2:
            raise KeyError(item)
        return item

    results = [
        repr(result) async for result in bounded_map(work, range(4), limit=2, isolate=isolate, on_error="return")
    ]

    assert results == ["0", "KeyError(1)", "2", "KeyError(3)"]


@ISOLATE
async def test_a_function_that_raises_before_it_awaits_fails_its_item(isolate: bool) -> None:
    """The failure of a plain function is the item's, like that of a coroutine."""

    def work(item: int) -> asyncio.Future[int]:
        raise KeyError(item)

    with pytest.raises(KeyError):
        await anext(bounded_map(work, [1], limit=1, isolate=isolate))


@KINDS
async def test_an_exception_of_the_input_is_raised_after_the_results_before_it(kind: Callable) -> None:
    """Nothing that was read is lost."""

    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError

    async def broken_too() -> AsyncIterator[int]:
        for item in broken():
            yield item

    results, seen = bounded_map(double, broken() if kind is Input.plain else broken_too(), limit=5), []
    with pytest.raises(LookupError):
        await collect(results, seen)

    assert seen == [2, 4]


@KINDS
@ISOLATE
@LIMITS
@pytest.mark.parametrize("turns", range(0, 30, 3))
async def test_cancelling_the_consumer_ends_everything(
    kind: Callable, isolate: bool, limit: Callable, turns: int
) -> None:
    """Whenever it comes, nothing runs afterwards, the permits are back and the input is closed."""
    items, gauge, chosen = Input(), Gauge(), limit()

    async def consume() -> None:
        mapped = bounded_map(lambda _: gauge.visit(3), kind(items), limit=chosen, isolate=isolate)
        async with mapped as results:
            async for _ in results:
                await asyncio.sleep(0)

    consumer = asyncio.create_task(consume())
    for _ in range(turns):
        await asyncio.sleep(0)
    consumer.cancel()
    await asyncio.wait([consumer])

    assert (gauge.now, items.closed) == (0, items.read > 0)
    if isinstance(chosen, Limiter):
        assert (chosen.statistics().running, chosen.statistics().queued) == (0, 0)


@ISOLATE
async def test_a_cancelled_item_cancels_the_consumer(isolate: bool) -> None:
    """As with `await task`: who awaits something cancelled is told so."""

    async def work(item: int) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await anext(bounded_map(work, [1], limit=1, isolate=isolate))


async def test_context_variables_never_pass_from_item_to_item() -> None:
    """Each item has a task of its own, with the context of the call."""

    async def work(_: int) -> int:
        before = variable.get()
        variable.set(before + 1)
        return before

    variable.set(7)
    results = bounded_map(work, range(20), limit=2)
    variable.set(8)

    assert [result async for result in results] == [7] * 20


async def test_a_worker_pool_shares_its_context_among_the_items_of_a_worker() -> None:
    """What `isolate=False` gives up for its speed."""

    async def work(_: int) -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    results = [result async for result in bounded_map(work, range(10), limit=1, isolate=False)]

    assert max(results) > 1


async def test_an_abandoned_map_stops() -> None:
    """`break` without `async with`: once the map is forgotten, what runs is cancelled."""
    doors = Doors()

    async def work(item: int) -> int:
        if item:
            await doors.enter()
        return item

    async for _ in bounded_map(work, range(10), limit=2):
        break
    gc.collect()
    await settled()

    assert doors.gauge.now == 0


async def test_two_consumers_at_once_are_refused() -> None:
    """As with an async generator; the first goes on."""
    doors = Doors()
    results = bounded_map(doors.enter, [1], limit=1)
    first = asyncio.ensure_future(anext(results))
    await settled()

    with pytest.raises(RuntimeError, match="one consumer at a time"):
        await anext(results)

    doors.open.set()
    assert await first == 1


async def test_closing_from_elsewhere_ends_the_consumer() -> None:
    """Who waits for the next result learns that there is none."""
    doors = Doors()
    results = bounded_map(doors.enter, [1], limit=1)
    consumer = asyncio.create_task(collect(results, []))
    await settled()

    await results.aclose()

    await consumer
    assert doors.gauge.now == 0


@KINDS
async def test_a_full_queue_is_raised_by_the_first_step(kind: Callable) -> None:
    """And the input is closed."""
    limiter, items = Limiter(max_running=0, max_queued=0), Input()

    with pytest.raises(QueueFullError):
        await anext(bounded_map(double, kind(items), limit=limiter))

    assert items.closed


async def test_a_map_that_is_inside_waits_and_is_not_refused() -> None:
    """Its input was slow, and others have come meanwhile: what it has begun it may end."""
    limiter, go = Limiter(max_running=1, max_queued=0), asyncio.Event()

    async def slow() -> AsyncIterator[int]:
        yield 1
        await go.wait()
        yield 2

    seen: list[object] = []
    consumer = asyncio.create_task(collect(bounded_map(double, slow(), limit=limiter), seen))
    await settled()
    limiter.acquire_nowait()
    go.set()
    await settled()
    assert seen == [2]

    limiter.release()
    await consumer
    assert seen == [2, 4]


class Fatal(BaseException):
    """What neither is an Exception nor ends the program, like a test framework's outcome."""


@ISOLATE
@pytest.mark.parametrize("plain", [True, False], ids=["function", "coroutine"])
@pytest.mark.parametrize(
    ("error", "told"),
    [(StopIteration, RuntimeError), (StopAsyncIteration, RuntimeError), (Fatal, Fatal), (LookupError, LookupError)],
)
async def test_whatever_an_item_raises_is_told(isolate: bool, plain: bool, error: type, told: type) -> None:
    """Nothing ends the loop as if there were no more items, and nothing hangs."""

    def function(item: int) -> asyncio.Future[int]:
        raise error

    async def coroutine(item: int) -> int:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(told):
        await anext(bounded_map(function if plain else coroutine, range(5), limit=2, isolate=isolate))


@KINDS
@pytest.mark.parametrize(
    ("error", "told"), [(StopAsyncIteration, RuntimeError), (Fatal, Fatal), (asyncio.CancelledError,) * 2]
)
async def test_whatever_the_input_raises_is_told(kind: Callable, error: type, told: type) -> None:
    """After the results of the items before it; no result is cut off in silence."""

    def plain() -> Iterator[int]:
        yield 1
        raise error

    async def asynchronous() -> AsyncIterator[int]:
        yield 1
        raise error

    if kind is Input.asynchronous and error is StopAsyncIteration:
        told = RuntimeError  # the generator itself says so
    results = bounded_map(double, plain() if kind is Input.plain else asynchronous(), limit=1)

    assert await anext(results) == 2
    with pytest.raises(told):
        await anext(results)


async def test_a_worker_cancelled_before_its_first_step_cancels_the_consumer() -> None:
    """Its item is not waited for in vain."""
    before = asyncio.all_tasks()
    step = asyncio.ensure_future(anext(bounded_map(double, range(3), limit=1, isolate=False)))
    await asyncio.sleep(0)

    for task in asyncio.all_tasks() - before - {step}:
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await step


async def test_an_item_cannot_close_its_own_map() -> None:
    """It would wait for itself; the message says what to do instead."""

    async def work(item: int) -> None:
        await results.aclose()

    results = bounded_map(work, range(3), limit=2)

    with pytest.raises(RuntimeError, match="leave the loop over it instead"):
        await anext(results)


async def test_an_input_that_answers_its_cancellation_with_an_item_does_not_hang() -> None:
    """A batcher flushes what it has; nobody is there to take it."""

    async def batches() -> AsyncIterator[int]:
        yield 0
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield 1
            raise

    async with bounded_map(double, batches(), limit=1) as results:
        assert await anext(results) == 0


async def test_everybody_who_closes_waits_for_the_end() -> None:
    """Also the consumer whose map is closed by another task."""
    running, leave = Gauge(), asyncio.Event()

    async def work(item: int) -> None:
        with running.inside():
            try:
                await asyncio.Event().wait()
            finally:
                await leave.wait()

    results = bounded_map(work, range(5), limit=3)

    async def consume() -> int:
        async with results:
            await collect(results, [])
        return running.now

    consumer = asyncio.create_task(consume())
    await settled()
    closer = asyncio.create_task(results.aclose())
    await settled()
    leave.set()

    assert await consumer == 0
    await closer


def test_a_consumer_can_be_closed_while_it_waits() -> None:
    """As the collector does with what is left when a loop is torn down."""

    async def main() -> None:
        consumer = collect(bounded_map(lambda _: asyncio.Event().wait(), range(3), limit=2), [])
        consumer.send(None)
        consumer.close()
        await settled()

    asyncio.run(main())


async def test_a_map_taken_one_step_and_forgotten_stops() -> None:
    """`await anext(bounded_map(...))`: the rest is not run for nobody."""
    started = []

    async def work(item: int) -> int:
        started.append(item)
        await asyncio.sleep(0)
        return item

    assert await anext(bounded_map(work, range(100), limit=2)) == 0
    gc.collect()
    await settled()

    assert len(started) <= 4


async def test_a_map_made_outside_borrows_from_whom_it_is_consumed_by() -> None:
    """An admitted coroutine that consumes it lends it its permit."""
    limiter = Limiter(max_running=1)
    results = bounded_map(double, range(3), limit=limiter)
    seen: list[object] = []

    await asyncio.wait_for(gather(collect(results, seen), limit=limiter), 10)

    assert seen == [0, 2, 4]


async def test_neither_function_nor_input_run_in_the_release_of_a_stranger() -> None:
    """They see their own context variables, and what they raise does not hit whoever gave the permit."""
    limiter, seen = Limiter(max_running=1), []

    def items() -> Iterator[int]:
        for item in range(3):
            seen.append(variable.get())
            yield item

    def work(item: int) -> asyncio.Future[int]:
        raise Fatal

    async def stranger() -> str:
        variable.set(1)
        async with limiter:
            await settled()
        return "unharmed"

    variable.set(2)
    task = asyncio.create_task(stranger())
    await asyncio.sleep(0)

    with pytest.raises(Fatal):
        await anext(bounded_map(work, items(), limit=limiter))
    assert await task == "unharmed"
    assert set(seen) == {2}


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks came with Python 3.12")
@KINDS
@ISOLATE
@LIMITS
async def test_eager_tasks_change_nothing(kind: Callable, isolate: bool, limit: Callable) -> None:
    """Results in order, input closed, within the limit."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    items = Input(20)

    results = [result async for result in bounded_map(double, kind(items), limit=limit(), isolate=isolate)]

    assert results == list(range(0, 40, 2))
    assert items.closed


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_a_limit_that_is_not_enforced_does_not_hold_back(mode: str) -> None:
    """Only the window of twice the limit remains."""
    limiter, doors = Limiter(max_running=2, mode=mode), Doors()

    async with bounded_map(doors.enter, range(10), limit=limiter) as results:
        step = asyncio.ensure_future(anext(results))
        await settled()
        assert doors.gauge.now == 4
        step.cancel()

    assert limiter.statistics().would_wait == (2 if mode == "observe" else 0)


async def test_a_wrong_on_error_is_refused() -> None:
    """The message says what is allowed."""
    with pytest.raises(ConfigurationError, match="on_error = 'ignore'; allowed are 'raise' and 'return'"):
        bounded_map(double, [], limit=1, on_error="ignore")  # type: ignore[call-overload]


@given(
    waits=st.lists(st.integers(0, 4), max_size=30),
    limit=st.integers(1, 5),
    ordered=st.booleans(),
    isolate=st.booleans(),
    asynchronous=st.booleans(),
    shared=st.booleans(),
    failing=st.sets(st.integers(0, 29)),
)
@settings(deadline=None, max_examples=200)
def test_every_item_gives_one_result(
    waits: list[int],
    limit: int,
    ordered: bool,
    isolate: bool,
    asynchronous: bool,
    shared: bool,
    failing: set[int],
) -> None:
    """Whatever the options and the durations: each item once, in order if asked for, within limit and window."""
    gauge = Gauge()

    async def work(item: int) -> int:
        await gauge.visit(waits[item])
        if item in failing:
            raise LookupError(item)
        return item

    async def run() -> list[int]:
        items, results = Input(len(waits)), []
        source = items.asynchronous() if asynchronous else items.plain()
        chosen = Limiter(max_running=limit) if shared else limit
        mapped = bounded_map(work, source, limit=chosen, ordered=ordered, isolate=isolate, on_error="return")
        async for result in mapped:
            results.append(result.args[0] if isinstance(result, LookupError) else result)
            assert items.read - len(results) <= 2 * limit + 1
        return results

    results = asyncio.run(run())

    assert (results if ordered else sorted(results)) == list(range(len(waits)))
    assert gauge.peak <= limit


async def test_a_task_factory_that_takes_no_context_is_called_as_before() -> None:
    """Such factories are older than contexts of tasks; each item still has a context of its own."""
    loop, variable = asyncio.get_running_loop(), contextvars.ContextVar("variable", default=0)
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("uvloop gives every factory a context")

    async def add(item: int) -> int:
        variable.set(variable.get() + item)
        return variable.get()

    loop.set_task_factory(lambda loop, coro: asyncio.Task(coro, loop=loop))  # type: ignore[arg-type, misc]
    try:
        results = [result async for result in bounded_map(add, [1, 2, 3], limit=2)]
    finally:
        loop.set_task_factory(None)

    assert results == [1, 2, 3]
